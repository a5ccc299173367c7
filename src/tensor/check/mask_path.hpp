// How a masked place reaches another, step by step. Internal to src/tensor/check.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <maskgrad/tensor/check/gradients.hpp>
#include <maskgrad/tensor/check/marks.hpp>

namespace maskgrad::check_detail {

/// "softmax in layer 'reflect'"
std::string name_of(const Tape& tape, std::size_t node);

/// Goes back from marked elements of a tape to the masked ones that they can depend on.
class MaskPath {
 public:
  MaskPath(const MarkedTape& marked, std::span<const NamedLeaf> leaves)
      : marked_(marked), tape_(marked.tape()), leaves_(leaves) {}

  /// To an element of what a node gives.
  std::vector<std::string> to_value(std::size_t node, std::int64_t element) const;
  /// To an element of the gradient of a leaf, and last a remedy.
  std::vector<std::string> to_gradient(const GradSlot& leaf, std::int64_t element) const;

 private:
  struct Place {
    const GradSlot* slot = nullptr;
    std::int64_t element = -1;
  };
  // Where a place of a gradient comes from: input `input` of node `node`, whose rule reads a marked
  // value at `value`, or else the arriving gradient at element `arriving` of the output.
  struct Step {
    std::size_t node, input;
    Place value;
    std::int64_t arriving;
  };

  Place source(const Node& node, std::int64_t element) const;
  Step gradient_source(const GradSlot& slot, std::int64_t element) const;
  Step step_at(std::size_t node, std::size_t input, std::int64_t element) const;
  std::vector<std::string> to_place(const Place& place, std::size_t user) const;
  std::size_t maker_of(const GradSlot& slot, std::size_t user) const;
  std::string remedy(const Step& step) const;
  std::string name_of_leaf(const GradSlot& slot) const;

  const MarkedTape& marked_;
  const Tape& tape_;
  std::span<const NamedLeaf> leaves_;
};

}  // namespace maskgrad::check_detail
