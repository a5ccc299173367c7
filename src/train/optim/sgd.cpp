#include <cmath>
#include <limits>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/own_lines.hpp>
#include <maskgrad/train/optim/gradient_scale.hpp>
#include <maskgrad/train/optim/sgd.hpp>

namespace maskgrad {
namespace {

using ops::multiply_add;
using ops::Vec;

template <class T>
class SgdLoop {
 public:
  SgdLoop(double momentum, double lr, double kept, double gradient_scale)
      : momentum_(static_cast<T>(momentum)),
        minus_rate_(static_cast<T>(-lr)),
        kept_(static_cast<T>(kept)),
        scale_(gradient_scale) {}

  // False where something was or became not finite, or weights are so large that their sum is not.
  // Where a gradient is not finite, value and momentum stay as they are.
  bool run(std::int64_t n, const T* g, T* w, T* u) const {
    const Vec<T> momentum(momentum_), minus_rate(minus_rate_), kept(kept_), first(scale_.first),
        second(scale_.second), most(std::numeric_limits<T>::max());
    Vec<T> sum(T{});
    bool finite = true;
    // Spans are whole cache lines, and so whole vectors.
    for (std::int64_t i = 0; i < n; i += ops::kLanes<T>) {
      const auto old_u = Vec<T>::load_unaligned(u + i), old_w = Vec<T>::load_unaligned(w + i);
      const auto gradient = Vec<T>::load_unaligned(g + i) * first * second;
      Vec<T> next_u = multiply_add(momentum, old_u, gradient);
      Vec<T> next_w = multiply_add(minus_rate, next_u, old_w * kept);
      const auto is_finite = xsimd::abs(gradient) <= most;
      if (!xsimd::all(is_finite)) [[unlikely]] {
        next_u = xsimd::select(is_finite, next_u, old_u);
        next_w = xsimd::select(is_finite, next_w, old_w);
        finite = false;
      }
      next_u.store_unaligned(u + i);
      next_w.store_unaligned(w + i);
      sum += next_w;
    }
    return finite && xsimd::all(sum - sum == Vec<T>(T{}));
  }

 private:
  T momentum_, minus_rate_, kept_;
  GradientScale<T> scale_;
};

}  // namespace

Sgd::Sgd(const ParameterBuffer& parameters, double momentum)
    : Optimizer("sgd", parameters), momentum_(momentum), u_(parameters.zeros_beside(0)) {
  check(momentum >= 0 && std::isfinite(momentum), name(),
        "momentum must be finite and at least 0, not {}", momentum);
}

bool Sgd::update(ParameterBuffer& parameters, const Part& part, double gradient_scale) {
  Tensor& values = parameters.values();
  return dispatch_device(values.device(), name(), [&] {
    return dispatch_dtype(FloatingTypes{}, values.dtype(), name(), [&]<class T>(T) {
      const T* g = parameters.read_gradients<T>().data();
      T *w = values.data<T>(), *u = u_.data<T>();
      const SgdLoop<T> loop(momentum_, part.lr, 1.0 - part.lr * part.weight_decay, gradient_scale);
      return for_each_span(part, [&](std::int64_t i, std::int64_t end) {
        own_lines(w + i, end - i);
        return loop.run(end - i, g + i, w + i, u + i);
      });
    });
  });
}

}  // namespace maskgrad
