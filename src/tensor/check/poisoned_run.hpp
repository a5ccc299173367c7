// Runs of a model with poison in its masked places. Internal to src/tensor/check.
#pragma once

#include <map>
#include <vector>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/marks.hpp>

namespace maskgrad::check_detail {

/// What an operation or a gradient rule gave in the clean run.
struct Seen {
  std::string op;
  Tensor value;
  SequenceMask mask;
};
struct CleanRun {
  std::vector<Seen> outputs, gradients;  // in the order in which they came
  std::vector<Tensor> of_leaves;         // the leaves' gradients
};

/// Writes poison to the holes of `mask`, if there is one; an id that no table has to integers.
void poison_holes(Tensor& x, const SequenceMask& mask, double poison);

/// bool: where a and b, of one shape and dtype, differ by a bit.
Tensor differences(const Tensor& a, const Tensor& b);

/// Fails unless `now` is what came at this place in the clean run, up to its numbers.
const Seen& expected(const std::vector<Seen>& clean, std::size_t call, const std::string& op,
                     const Tensor& now, const SequenceMask& mask);

/// Sees a run with poison: writes it into every hole, and notes whether a kept place of a value
/// with a mask, or a result that nothing reads, differs from the clean run.
class PoisonedRun : public TapeObserver {
 public:
  /// `trace`: the same model's, which knows what reads what.
  PoisonedRun(const Tape& trace, const CleanRun& clean, double poison);

  void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) override;
  void on_gradient(const Node& node, const std::string& layer, std::size_t input,
                   Tensor& grad) override;
  bool leaked() const { return leaked_; }
  bool is_complete() const { return next_output_ == clean_.outputs.size(); }

 private:
  const CleanRun& clean_;
  double poison_;
  std::vector<NodeOutput> outputs_;
  std::size_t next_output_ = 0, next_gradient_ = 0;
  bool leaked_ = false;
};

/// Sees the same run again to find who is to blame, and puts clean values where somebody is.
class BlamingRun : public TapeObserver {
 public:
  BlamingRun(const Tape& trace, const CleanRun& clean, double poison, std::vector<MaskLeak>& leaks);

  void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) override;
  void on_record(const Node& node) override { place_[&node] = outputs_[next_output_ - 1].node; }
  void on_gradient(const Node& node, const std::string& layer, std::size_t input,
                   Tensor& grad) override;

 private:
  Tensor rubbish(const Gradient& value) const;
  Tensor wrong_in_output(const NodeOutput& place, const Tensor& changed) const;
  Tensor wrong_in_gradient(const Node& node, std::size_t input, const Tensor& changed) const;
  Tensor may_be_rubbish(const Node& node, std::size_t input) const;
  Tensor may_be_rubbish(const Node& node, std::size_t input, std::size_t output) const;
  void blame(const std::string& op, const std::string& layer, const std::string& what,
             const Tensor& now, const Tensor& clean, const Tensor& wrong);

  const Tape& trace_;
  const CleanRun& clean_;
  double poison_;
  std::vector<NodeOutput> outputs_;
  std::vector<MaskLeak>& leaks_;
  std::map<const Node*, std::size_t> place_;     // of a recorded node on the trace
  std::map<const Gradient*, Tensor> of_values_;  // which elements hold rubbish
  std::map<const Gradient*, Tensor> of_gradients_;
  std::size_t next_output_ = 0, next_gradient_ = 0;
};

}  // namespace maskgrad::check_detail
