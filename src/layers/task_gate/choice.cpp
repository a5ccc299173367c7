#include <algorithm>

#include <maskgrad/layers/task_gate/choice.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "choice";

// Where x is above 0.
Tensor above_zero(const Tensor& x) {
  Tensor is = Tensor::empty(x.shape(), DType::kBool);
  dispatch_dtype(FloatingTypes{}, x.dtype(), kName, [&]<class T>(T) {
    std::transform(x.data<T>(), x.data<T>() + x.numel(), is.data<bool>(),
                   [](T value) { return value > 0; });
  });
  return is;
}

// -sum_c g_c log g_c over the last dimension, with 0 log 0 = 0.
Variable entropy(const Variable& g) {
  const Variable some = ops::keep_where(g, above_zero(g.value()), 1.0);
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

Choice choice_of(const Variable& shares) {
  check_given(shares.defined(), kName, "shares");
  check(shares.rank() == 2 && shares.dim(1) > 0, kName, "needs shares [B, C], got {}",
        shares.shape());
  Tensor best = ops::argmax(shares.value(), 1);
  const Tensor some = above_zero(shares.value());
  const std::int64_t candidates = shares.dim(1);
  for (std::int64_t b = 0; b < best.numel(); ++b) {
    const bool* const row = some.data<bool>() + b * candidates;
    if (std::none_of(row, row + candidates, [](bool is) { return is; })) {
      best.data<std::int64_t>()[b] = -1;
    }
  }
  return {shares, best};
}

Variable mutual_information(const Choice& choice) {
  check_given(choice.shares.defined() && choice.best.defined(), kName, "shares or best");
  const Tensor is = counted(choice);
  const Variable mean = ops::masked_mean(choice.shares, is.reshape({is.numel(), 1}), 0);
  return ops::subtract(entropy(mean), ops::masked_mean(entropy(choice.shares), is, 0));
}

}  // namespace maskgrad
