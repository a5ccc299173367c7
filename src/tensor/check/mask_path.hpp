// How a marked place reaches another, step by step. Internal to src/tensor/check.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <maskgrad/tensor/check/gradients.hpp>
#include <maskgrad/tensor/check/marks.hpp>

namespace maskgrad::check_detail {

/// "softmax in layer 'reflect'"
std::string name_of(const Tape& tape, std::size_t node);

/// The first line of a path that begins at an element of a value, which `maker` made, or nullptr
/// for a leaf or a constant. Empty where the path goes on to what the element depends on.
using PathStart =
    std::function<std::string(const Gradient& value, std::int64_t element, const Node* maker)>;
/// Paths begin at masked elements: "element 1 of (2, 2) is masked, from product".
std::string masked_start(const Gradient& value, std::int64_t element, const Node* maker);

/// Goes back from marked elements of a tape to those that they can depend on: masked ones, if
/// nothing else is said.
class MaskPath {
 public:
  MaskPath(const MarkedTape& marked, std::span<const NamedLeaf> leaves,
           PathStart start = masked_start)
      : marked_(marked), tape_(marked.tape()), leaves_(leaves), start_(std::move(start)) {}

  /// To an element of an output of a node.
  std::vector<std::string> to_value(std::size_t node, std::size_t output,
                                    std::int64_t element) const;
  /// To an element of the gradient of a leaf, and last a remedy.
  std::vector<std::string> to_gradient(const Gradient& leaf, std::int64_t element) const;

 private:
  struct Place {
    const Gradient* value = nullptr;
    std::int64_t element = -1;
  };
  // Where a place of a gradient comes from: input `input` of node `node`, whose rule reads a marked
  // value at `read`, or else the gradient that arrives at `arriving`, a place of an output.
  struct Step {
    std::size_t node, input;
    Place read, arriving;
  };
  // The node that made a value, and which of its outputs it is.
  struct Maker {
    std::size_t node, output;
  };

  Place source(const Node& node, std::size_t output, std::int64_t element) const;
  Step gradient_source(const Gradient& value, std::int64_t element) const;
  Step step_at(std::size_t node, std::size_t input, std::int64_t element) const;
  Place value_read(const Node& node, std::size_t input, std::size_t output,
                   std::int64_t place) const;
  std::vector<std::string> to_place(const Place& place, std::size_t user) const;
  std::optional<Maker> maker_of(const Gradient& value, std::size_t user) const;
  std::string remedy(const Step& step) const;
  std::string name_of_leaf(const Gradient& value) const;

  const MarkedTape& marked_;
  const Tape& tape_;
  std::span<const NamedLeaf> leaves_;
  PathStart start_;
};

}  // namespace maskgrad::check_detail
