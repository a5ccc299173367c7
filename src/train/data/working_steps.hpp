// Problems of arithmetic and their working steps, for a causal language model.
#pragma once

#include <string>

#include <maskgrad/train/data/arithmetic_problem.hpp>
#include <maskgrad/train/data/dataset.hpp>

namespace maskgrad {

struct WorkingStepsData {
  std::int64_t samples = 1'000'000;
  std::int64_t max_val = 100;  // numbers are smaller in absolute value
  std::uint64_t seed = 0;
  /// The share of rare problems among the first samples. It falls evenly, to 0 behind the last one.
  double rare = 0.25;
};

/// Sample i is problem i of the seed, made when it is asked for. No pair of is_held_out() is among
/// them. Rare problems have a zero, an operand of one digit, equal or opposite operands, or
/// operands of equal sign and tens. A batch has inputs, int64 [B, S]: fixed_prompt() and
/// working_steps() without the last token, filled up with kPadToken; targets, int64 [B, S]: the
/// token behind each; and "asked", bool [B, S]: where that token is one of the working steps.
class WorkingSteps : public Dataset {
 public:
  /// Throws Error for samples below 0, a max_val that is not 2 to 10^9, and a share that is not in
  /// [0, 1].
  explicit WorkingSteps(const WorkingStepsData& data);

  std::int64_t size() const override { return data_.samples; }
  Batch collate(std::span<const std::int64_t> ids) const override;
  /// The numbers that the samples are made from.
  std::string fingerprint() const override;

  ArithmeticProblem problem(std::int64_t id) const;
  /// Digits of an operand.
  int digits() const { return digits_; }

 private:
  WorkingStepsData data_;
  int digits_;
};

}  // namespace maskgrad
