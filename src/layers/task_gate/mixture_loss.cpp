#include <cmath>

#include <maskgrad/layers/bits_where.hpp>
#include <maskgrad/layers/task_gate/mixture_loss.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/gather.hpp>

namespace maskgrad {
namespace {

constexpr double kLeastShare = 1e-30, kLeastPower = 1e-3;

// The largest of each row [B, 1], for terms to be subtracted from; 0 where it is infinite.
// Constant: it is added again, so it has no gradient.
Variable largest_of(const Variable& terms) {
  const Variable largest = ops::max(Variable(terms.value()), 1, /*keepdims=*/true);
  const auto is_finite = [](auto x) { return !std::isinf(x); };
  return ops::keep_where(largest, bits_where("mixture_loss", largest.value(), is_finite));
}

}  // namespace

Variable log_likelihood(const Variable& logits, const Tensor& targets) {
  constexpr const char* kName = "log_likelihood";
  check_given(logits.defined() && targets.defined(), kName, "logits or targets");
  check(logits.rank() == 3 && targets.rank() == 2 && logits.dim(0) == targets.dim(0) &&
            logits.dim(1) == targets.dim(1),
        kName, "needs logits [B, T, V] and targets [B, T], got {} and {}", logits.shape(),
        targets.shape());
  const Tensor indices = targets.reshape({targets.dim(0), targets.dim(1), 1});
  return ops::sum(ops::gather(ops::log_softmax(logits), 2, indices), {1});
}

Variable mixture_loss(const Variable& shares, const Variable& log_likelihoods, double power) {
  constexpr const char* kName = "mixture_loss";
  check_given(shares.defined() && log_likelihoods.defined(), kName, "shares or likelihoods");
  check(shares.rank() == 2 && shares.shape() == log_likelihoods.shape() && shares.dim(1) > 0, kName,
        "needs shares and likelihoods [B, C], got {} and {}", shares.shape(),
        log_likelihoods.shape());
  check(power >= kLeastPower && power <= 1, kName, "needs a power from {} to 1, got {}",
        kLeastPower, power);
  const Tensor counts = rows_not_zero(kName, shares.value());
  const Variable log_p = ops::keep_where(log_likelihoods, counts.reshape({counts.numel(), 1}));
  const Variable log_shares = ops::log(ops::clip(shares, kLeastShare, 1.0));
  const Variable terms = ops::add(log_shares, ops::scale(log_p, power));
  const Variable largest = largest_of(terms);
  const Variable sum = ops::sum(ops::exp(ops::subtract(terms, largest)), {1}, /*keepdims=*/true);
  const Variable loss = ops::scale(ops::sum(ops::add(ops::log(sum), largest), {1}), -1 / power);
  return ops::keep_where(loss, counts);
}

}  // namespace maskgrad
