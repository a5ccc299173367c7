// A gate that reads a sequence and says which expert it is for.
#pragma once

#include <maskgrad/layers/gates/softmax_gate.hpp>
#include <maskgrad/layers/task_gate/expert_mixture.hpp>

namespace maskgrad {

/// shares = softmax(m w / temperature), m = the mean of reader(x) over the positions that exist,
/// and a mixture of experts by them. Without a reader m is the mean of x: a bag of features, which
/// does not tell one order of positions from another. With attention for a reader it does. x
/// [B, S, D]. Parameters: gate.w [D, C], those of reader and those of the experts.
class TaskGate : public ExpertMixture {
 public:
  /// `features` is D. The reader maps [B, S, D] to the same and keeps or uses masks. Throws Error
  /// unless D is above 0, and as ExpertMixture.
  TaskGate(std::int64_t features, Experts experts, Mixing mixing = Mixing::kSoft,
           std::unique_ptr<Layer> reader = nullptr);

 protected:
  Variable shares(const Variable& x, const Tensor& exists, double temperature, Pass& pass) override;

 private:
  SoftmaxGate& gate_;
  Layer* reader_ = nullptr;
};

}  // namespace maskgrad
