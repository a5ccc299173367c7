// Problems of arithmetic and their working steps, for a causal language model.
#pragma once

#include <string>

#include <maskgrad/train/data/arithmetic_problem.hpp>
#include <maskgrad/train/data/dataset.hpp>

namespace maskgrad {

struct WorkingStepsData {
  std::int64_t samples = 100'000;  // of an epoch
  std::int64_t max_val = 100;      // numbers are smaller in absolute value
  std::uint64_t seed = 0;
  /// The share of rare problems at the beginning. It falls evenly, to 0 behind `rare_until`
  /// problems. Rare problems have a zero, an operand of one digit, equal or opposite operands,
  /// operands of equal sign and tens, or operands of digits from 6 to 9, whose products carry most.
  double rare = 0.25;
  std::int64_t rare_until = 1'000'000;
  /// True: only problems of which is_held_out() says so. False: only the others.
  bool held_out = false;
};

/// Sample i of epoch e is problem e * samples + i of the seed, made when it is asked for. So each
/// epoch has new ones. A batch has inputs, int64 [B, S]: fixed_prompt() and working_steps() without
/// the last token, filled up with kPadToken; targets, int64 [B, S]: the token behind each; and
/// "asked", bool [B, S]: where that token is one of the working steps.
class WorkingSteps : public Dataset {
 public:
  /// Throws Error for samples below 0 or above 2^40, a max_val that is not 2 to 10^9, a share that
  /// is not in [0, 1], and a rare_until below 1.
  explicit WorkingSteps(const WorkingStepsData& data);

  std::int64_t size() const override { return data_.samples; }
  Batch collate(std::span<const std::int64_t> ids) const override { return collate_in(0, ids); }
  Batch collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const override;
  /// The numbers that the samples are made from.
  std::string fingerprint() const override;

  /// Throws Error for a sample or an epoch that is not there.
  ArithmeticProblem problem(std::int64_t id, std::int64_t epoch = 0) const;
  /// Digits of an operand.
  int digits() const { return digits_; }

 private:
  WorkingStepsData data_;
  int digits_;
};

/// The digits of an operand below max_val: 2 for 100.
int digits_below(std::int64_t max_val);

}  // namespace maskgrad
