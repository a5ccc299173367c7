#include <cmath>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/own_lines.hpp>
#include <maskgrad/train/optim/sgd.hpp>
#include <maskgrad/train/optim/sgd_rule.hpp>

namespace maskgrad {
namespace {

using ops::Vec;

// False where something was or became not finite, or weights are so large that their sum is not.
// Where a gradient is not finite, value and momentum stay as they are.
template <class T>
bool run(const SgdFactors& factors, std::int64_t n, const T* g, T* w, T* u) {
  const SgdRule<Vec<T>> rule(factors);
  Vec<T> sum(T{});
  bool finite = true;
  // Spans are whole cache lines, and so whole vectors.
  for (std::int64_t i = 0; i < n; i += ops::kLanes<T>) {
    const auto old_u = Vec<T>::load_unaligned(u + i), old_w = Vec<T>::load_unaligned(w + i);
    const auto gradient = rule.scaled(Vec<T>::load_unaligned(g + i));
    auto next = rule.next(gradient, {old_w, old_u});
    const auto is_finite = rule.is_finite(gradient);
    if (!xsimd::all(is_finite)) [[unlikely]] {
      next = {xsimd::select(is_finite, next.w, old_w), xsimd::select(is_finite, next.u, old_u)};
      finite = false;
    }
    next.u.store_unaligned(u + i);
    next.w.store_unaligned(w + i);
    sum += next.w;
  }
  return finite && xsimd::all(sum - sum == Vec<T>(T{}));
}

}  // namespace

Sgd::Sgd(const ParameterBuffer& parameters, double momentum)
    : Optimizer("sgd", parameters), momentum_(momentum), u_(parameters.zeros_beside(0)) {
  check(momentum >= 0 && std::isfinite(momentum), name(),
        "momentum must be finite and at least 0, not {}", momentum);
}

bool Sgd::update(ParameterBuffer& parameters, const Part& part, double gradient_scale,
                 LateUpdate* late) {
  const SgdFactors factors = {momentum_, part.lr, 1.0 - part.lr * part.weight_decay,
                              gradient_scale};
  const Tensor& gradients = parameters.read_gradients();
  Tensor& values = parameters.values();
  bool finite = true;
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, values.dtype(), name(), [&]<class T>(T) {
      const T* g = gradients.data<T>();
      T *w = values.data<T>(), *u = u_.data<T>();
      finite = for_each_span(part, [&](std::int64_t i, std::int64_t end) {
        own_lines(w + i, end - i);
        return run(factors, end - i, g + i, w + i, u + i);
      });
    });
  };
  dispatch_device(values.device(), kSgdCuda, on_cpu, factors, part.first, part.end - part.first,
                  gradients, values, u_, late);
  return finite;
}

}  // namespace maskgrad
