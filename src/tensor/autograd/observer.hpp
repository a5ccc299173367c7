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

  /// `op` gave `output`, which carries `mask`; nothing has read it yet, and it may be written to.
  /// Called for each output of an operation, in order.
  virtual void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) = 0;
  /// The operation that gave the outputs shown last was recorded.
  virtual void on_record(const Node& node) { static_cast<void>(node); }
  /// The rule of `node`, recorded in `layer`, gave `grad` for one input, still with whatever came
  /// to the input's holes. It may be replaced, but not written to: others may hold it.
  virtual void on_gradient(const Node& node, const std::string& layer, std::size_t input,
                           Tensor& grad) {
    static_cast<void>(node), static_cast<void>(layer);
    static_cast<void>(input), static_cast<void>(grad);
  }
};

/// Throws Error "[log] gave -inf at element 3 of (2, 4)" as soon as an operation gives a number
/// that is not finite, or its rule one for the gradient of an input; holes left out.
class FiniteCheck : public TapeObserver {
 public:
  void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) override;
  void on_gradient(const Node& node, const std::string& layer, std::size_t input,
                   Tensor& grad) override;
};

}  // namespace maskgrad
