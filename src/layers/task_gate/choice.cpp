#include <algorithm>

#include <maskgrad/layers/bits_where.hpp>
#include <maskgrad/layers/task_gate/choice.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "choice";

// -sum_c g_c log g_c over the last dimension, with 0 log 0 = 0. NaN stays NaN.
Variable entropy(const Variable& g) {
  const auto is_some = [](auto share) { return !(share <= 0); };
  const Variable some = ops::keep_where(g, bits_where(kName, g.value(), is_some), 1.0);
  return ops::negate(ops::sum(ops::multiply(some, ops::log(some)), {-1}));
}

// Which samples have a choice, [B].
Tensor counted(const Choice& choice) {
  Tensor is = Tensor::empty(choice.best.shape(), DType::kBool);
  const auto best = choice.best.values<std::int64_t>();
  std::transform(best.begin(), best.end(), is.data<bool>(),
                 [](std::int64_t candidate) { return candidate >= 0; });
  return is;
}

}  // namespace

Choice choice_of(const Variable& shares, const Tensor& exists) {
  check_given(shares.defined(), kName, "shares");
  check(shares.rank() == 2 && shares.dim(1) > 0, kName, "needs shares [B, C], got {}",
        shares.shape());
  const Tensor is = exists.defined() ? exists : rows_not_zero(kName, shares.value());
  check(is.dtype() == DType::kBool && is.numel() == shares.dim(0), kName,
        "needs a bool for each of {} samples, got {} {}", shares.dim(0), to_string(is.dtype()),
        is.shape());
  Tensor best = ops::argmax(shares.value(), 1);
  for (std::int64_t b = 0; b < best.numel(); ++b) {
    if (!is.data<bool>()[b]) best.data<std::int64_t>()[b] = -1;
  }
  return {shares, best};
}

Variable mean_entropy(const Choice& choice) {
  check_given(choice.shares.defined() && choice.best.defined(), kName, "shares or best");
  const Tensor is = counted(choice);
  return entropy(ops::masked_mean(choice.shares, is.reshape({is.numel(), 1}), 0));
}

Variable mutual_information(const Choice& choice) {
  const Variable of_mean = mean_entropy(choice);
  return ops::subtract(of_mean, ops::masked_mean(entropy(choice.shares), counted(choice), 0));
}

}  // namespace maskgrad
