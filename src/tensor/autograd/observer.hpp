// What a tape lets others see of its work. For checks and messages; training has no observer.
#pragma once

#include <string>

#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

class Node;
struct OpDef;

class TapeObserver {
 public:
  virtual ~TapeObserver() = default;

  /// Called for each output of an operation, in order: `op` gave `output`, which carries `mask`.
  /// No operation has read the output yet, and the observer may write to it.
  virtual void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) = 0;
  /// Called when an operation has been recorded, after on_output() for its outputs.
  virtual void on_record(const Node& node) { static_cast<void>(node); }
  /// Called when the rule of `node`, recorded in `layer`, has given `grad` for one input. Holes of
  /// the input are not dropped yet. The observer may replace `grad` by another Tensor, but not
  /// write to its elements, which others may share.
  virtual void on_gradient(const Node& node, const std::string& layer, std::size_t input,
                           Tensor& grad) {
    static_cast<void>(node), static_cast<void>(layer);
    static_cast<void>(input), static_cast<void>(grad);
  }
};

/// Throws Error "[log] gave -inf at element 3 of (2, 4)" as soon as an operation gives an output
/// with an Inf or NaN, or its rule gives such a gradient. Holes are left out. Within a layer the
/// error names it, as every Error does.
class FiniteCheck : public TapeObserver {
 public:
  void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) override;
  void on_gradient(const Node& node, const std::string& layer, std::size_t input,
                   Tensor& grad) override;
};

}  // namespace maskgrad
