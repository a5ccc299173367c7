#include <cmath>
#include <limits>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/own_lines.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/adam_rule.hpp>

namespace maskgrad {
namespace {

using ops::Vec;

// The arrays of one span.
template <class T>
struct Arrays {
  const T* g;
  T *w, *m, *r;
};

// One loop over all four arrays, each read and written once: memory is what bounds it. Estimates of
// root and division with Newton steps take longer than these. They leave room for little else: of
// the two checks, the one is made before them, and the other is one addition.
template <class T>
class AdamLoop {
 public:
  explicit AdamLoop(const AdamFactors& factors) : factors_(factors) {}

  // False where something was or became not finite, or weights are so large that their sum is not.
  bool run(std::int64_t n, Arrays<T> a) const {
    const Rule rule(factors_);  // here, or each store would make its numbers be read again
    Vec<T> sum(T{});
    bool finite = true;
    // Spans are whole cache lines, and so whole vectors.
    for (std::int64_t i = 0; i < n; i += ops::kLanes<T>) {
      const Vec<T> g = rule.scaled(Vec<T>::load_unaligned(a.g + i)),
                   r = Vec<T>::load_unaligned(a.r + i);
      const Vec<T> square = rule.square(g, r);
      if (xsimd::all(rule.fits(square))) [[likely]] {
        const Vec<T> next_m = rule.next_m(g, Vec<T>::load_unaligned(a.m + i)),
                     next_r = xsimd::sqrt(square),
                     next_w = rule.next_w(Vec<T>::load_unaligned(a.w + i), next_m, next_r);
        next_m.store_unaligned(a.m + i);
        next_r.store_unaligned(a.r + i);
        next_w.store_unaligned(a.w + i);
        sum += next_w;
      } else {
        finite &= take_large({a.g + i, a.w + i, a.m + i, a.r + i}, sum);
      }
    }
    return finite && xsimd::all(sum - sum == Vec<T>(T{}));
  }

 private:
  using Rule = AdamRule<Vec<T>>;

  // One vector that holds large numbers. False where some are not finite.
  [[gnu::noinline]] bool take_large(const Arrays<T>& a, Vec<T>& sum) const {
    const Vec<T> w = Vec<T>::load_unaligned(a.w), m = Vec<T>::load_unaligned(a.m),
                 r = Vec<T>::load_unaligned(a.r);
    typename Rule::Condition finite(false);
    const auto next = Rule(factors_).next_of_large(Vec<T>::load_unaligned(a.g), {w, m, r}, finite);
    next.m.store_unaligned(a.m);
    next.r.store_unaligned(a.r);
    next.w.store_unaligned(a.w);
    sum += next.w;
    return xsimd::all(finite);
  }

  AdamFactors factors_;
};

template <class T>
bool is_normal(double x) {
  return x >= static_cast<double>(std::numeric_limits<T>::min()) &&
         x <= static_cast<double>(std::numeric_limits<T>::max());
}

}  // namespace

Adam::Adam(const ParameterBuffer& parameters, Options options)
    : Optimizer("adam", parameters),
      options_(options),
      m_(parameters.zeros_beside(0)),
      r_(parameters.zeros_beside(1)) {
  for (const double beta : {options.beta1, options.beta2}) {
    check(beta >= 0 && beta < 1, name(), "a beta must be at least 0 and less than 1, not {}", beta);
  }
  const bool has_eps = dispatch_dtype(FloatingTypes{}, parameters.dtype(), name(),
                                      [&]<class T>(T) { return is_normal<T>(options.eps); });
  check(has_eps, name(), "eps must be a positive number of {}, not {}",
        to_string(parameters.dtype()), options.eps);
}

bool Adam::update(ParameterBuffer& parameters, const Part& part, double gradient_scale,
                  LateUpdate* late) {
  const double lr = part.lr;
  const auto t = static_cast<double>(steps());
  const double correction1 = 1.0 - std::pow(options_.beta1, t);
  const double correction2 = std::sqrt(1.0 - std::pow(options_.beta2, t));
  const bool keras = options_.form == Form::kKeras;
  const AdamFactors factors = {gradient_scale,
                               1.0 - options_.beta1,
                               1.0 - options_.beta2,
                               keras ? lr * correction2 / correction1 : lr / correction1,
                               keras ? 1.0 : 1.0 / correction2,
                               options_.eps,
                               1.0 - lr * part.weight_decay};
  const Tensor& gradients = parameters.read_gradients();
  Tensor& values = parameters.values();
  bool finite = true;
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, values.dtype(), name(), [&]<class T>(T) {
      const T* g = gradients.data<T>();
      T *w = values.data<T>(), *m = m_.data<T>(), *r = r_.data<T>();
      const AdamLoop<T> loop(factors);
      finite = for_each_span(part, [&](std::int64_t i, std::int64_t end) {
        own_lines(w + i, end - i);
        return loop.run(end - i, {g + i, w + i, m + i, r + i});
      });
    });
  };
  dispatch_device(values.device(), kAdamCuda, on_cpu, factors, part.first, part.end - part.first,
                  gradients, values, m_, r_, late);
  return finite;
}

}  // namespace maskgrad
