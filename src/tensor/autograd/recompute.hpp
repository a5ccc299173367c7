// Values of the forward pass that are computed again for the backward pass.
#pragma once

#include <utility>

#include <maskgrad/tensor/autograd/node.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/autograd/watched.hpp>

namespace maskgrad {

/// What a tape knows that keeps no operations. Use recompute().
struct DryRun {
  std::uint64_t around;       // the tape that does, whose values may be read
  PoolVector<Watched> reads;  // values from outside that operations read
};

/// A node that runs something forward again, and then backward. Use recompute().
class RecomputeNode : public Node {
 public:
  RecomputeNode(Ref<Gradient> output, DryRun first);
  void backward(std::span<Tensor> arrived, Gradients& grads) override;

 protected:
  virtual Variable run() = 0;
  Tensor spread_marks(std::size_t input, const Tensor& marked, const Way& way) const override;

 private:
  Ref<Gradient> run_checked();

  DryRun first_;
  PoolVector<char> path_;  // Scope::path() of the first run
};

template <class F>
class RecomputeNodeOf final : public RecomputeNode {
 public:
  RecomputeNodeOf(Ref<Gradient> output, DryRun first, F f)
      : RecomputeNode(std::move(output), std::move(first)), f_(std::move(f)) {}

 protected:
  Variable run() override { return f_(); }

 private:
  F f_;
};

/// The first run of what is recomputed. While it lives, operations of this thread find out what
/// takes gradients, and keep nothing. Use recompute().
class FirstRun {
 public:
  /// Whether the tape of this thread, if there is one, would keep what backward needs, and no more.
  static bool is_due();
  /// Requires is_due().
  FirstRun();

  void reads(const Variable& x);
  /// What `y` is outside. `again` gives it once more.
  template <class F>
  Variable end(const Variable& y, F again) {
    Ref<Gradient> gradient = gradient_outside(y);
    if (!gradient) return y;
    using Made = RecomputeNodeOf<F>;
    return add(y, Ref<Node>(new Made(std::move(gradient), std::move(dry_), std::move(again))));
  }

 private:
  Ref<Gradient> gradient_outside(const Variable& y) const;
  Variable add(Variable y, Ref<Node> node);

  Tape& around_;
  DryRun dry_;
  Tape tape_;
};

/// f(inputs...), without keeping what its operations need in the backward pass. When backward comes
/// here, f runs once more, and then backward (Chen et al. 2016, "Training deep nets with sublinear
/// memory cost"). So a chain of n such calls keeps n values and the operations of one call, for one
/// more forward pass. The value and all gradients have the same bits as those of f(inputs...).
///
///   y = recompute([&](const Variable& h) { return block(h); }, x);
///
/// f gets the inputs, Variables, and returns a Variable. It may also read values and leaves that it
/// refers to, and calls may nest. The tape keeps a copy of f. What f refers to must live as long as
/// the tape. f must do the same each time: it changes nothing, and draws its random numbers from
/// the beginning. In the second run Scope::path() is that of the first.
///
/// A tape that traces or has an observer records f as it is, so proofs and checks see every
/// operation. Without a tape this is f(inputs...).
/// Throws Error on a tape that has run backward, and as f. backward() throws Error when somebody
/// has written to an input or to a leaf that f reads, when f gives a value of another kind than
/// before, and as f.
template <class F, class... Inputs>
Variable recompute(F f, const Inputs&... inputs) {
  if (!FirstRun::is_due()) return f(inputs...);
  FirstRun first;
  (first.reads(inputs), ...);
  const Variable y = f(inputs...);
  return first.end(y, [f = std::move(f), inputs...]() mutable { return f(inputs...); });
}

}  // namespace maskgrad
