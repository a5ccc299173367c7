// What a model computes, node by node, while it runs. Internal to src/train.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/layer_observer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/formats/graph_def.hpp>

namespace maskgrad {

/// Gathers the nodes of graph_of() while it lives and a tape that traces tells it of a model's
/// operations. Batch and parameters must outlive it.
class GraphRecorder final : public TapeObserver, public LayerObserver {
 public:
  GraphRecorder(const ParameterBuffer& parameters, const Batch& batch);

  void on_output(const OpDef&, Tensor&, const SequenceMask&) override {}
  void on_record(const Node& node) override;
  void on_layer(const Layer& layer, const Variable& x, const Variable& y) override;

  ModelGraph take() { return std::move(graph_); }

 private:
  // What an operation reads.
  struct Input {
    std::string name;
    const Gradient* gradient;  // null for what is no input of the tape
    const Variable* value;     // null where the call is not known
  };
  struct Known {
    Variable value;
    std::string source;
  };
  struct KnownMask {
    Tensor bits;
    SequenceMask mask;  // none for bits that no value carries
    std::string node;
  };
  // The masks that a node meets.
  struct Masks {
    std::vector<std::string> carried, given;
    std::string out;  // "" for none
    bool is_new = false;
  };

  static std::vector<Input> inputs_of(const Node& node);
  std::string unique(std::string name);
  std::string add(GraphNode node);
  std::string add_value(const std::string& name, const char* op, DType dtype, const Shape& shape);
  void know(const Variable& value, const std::string& source);
  std::string source_of(const Input& input);
  const std::string* find_value(const Variable& value) const;
  std::string placeholder_of(const Tensor& value);
  const std::string* find_mask(const Tensor& bits) const;
  std::string add_mask(const Tensor& bits, const SequenceMask& mask, const std::string& maker);
  std::string mask_of(const SequenceMask& mask, const std::string& carrier);
  std::string given_mask(const Tensor& bits);
  void read_inputs(const Node& recorded, GraphNode& node, Masks& masks);
  void pass_on(const SequenceMask& out, MaskRule rule, const std::string& in);
  static MaskRule deed_of(const Masks& masks, MaskRule rule);
  static void read_masks(GraphNode& node, const Masks& masks, MaskRule rule);
  bool is_read_within(const std::string& prefix, const std::string& mask) const;

  const Batch& batch_;
  ModelGraph graph_;
  std::set<std::string> names_;
  std::map<const Gradient*, std::string> by_gradient_;
  std::vector<Known> values_;
  std::vector<KnownMask> masks_;
};

}  // namespace maskgrad
