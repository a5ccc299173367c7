#include <cmath>
#include <limits>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/own_lines.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/gradient_scale.hpp>

namespace maskgrad {
namespace {

using ops::multiply_add;
using ops::Vec;

// w = kept * w - rate * m / (r * root + eps) covers both forms.
struct Factors {
  double gradient_scale, one_minus_beta1, one_minus_beta2, rate, root, eps, kept;
};

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
  explicit AdamLoop(const Factors& f)
      : scale_(f.gradient_scale),
        c1_(static_cast<T>(f.one_minus_beta1)),
        c2_(static_cast<T>(f.one_minus_beta2)),
        minus_rate_(static_cast<T>(-f.rate)),
        root_(static_cast<T>(f.root)),
        eps_(static_cast<T>(f.eps)),
        kept_(static_cast<T>(f.kept)) {}

  // False where something was or became not finite, or weights are so large that their sum is not.
  bool run(std::int64_t n, const Arrays<T>& a) const {
    const Vec<T> scale(scale_.first), c1(c1_), c2(c2_), minus_rate(minus_rate_), root(root_),
        eps(eps_), kept(kept_);
    const Vec<T> limit(scale_.is_one_factor() ? kLarge * kLarge : T{-1});
    Vec<T> sum(T{});
    bool finite = true;
    // Spans are whole cache lines, and so whole vectors.
    for (std::int64_t i = 0; i < n; i += ops::kLanes<T>) {
      const auto g = Vec<T>::load_unaligned(a.g + i) * scale;
      const auto r = Vec<T>::load_unaligned(a.r + i), m = Vec<T>::load_unaligned(a.m + i);
      const Vec<T> square = next_square(g, r, c2);
      if (xsimd::all(square <= limit)) [[likely]] {
        const Vec<T> next_m = multiply_add(c1, g - m, m), next_r = xsimd::sqrt(square);
        const Vec<T> w = multiply_add(minus_rate, next_m / multiply_add(next_r, root, eps),
                                      Vec<T>::load_unaligned(a.w + i) * kept);
        next_m.store_unaligned(a.m + i);
        next_r.store_unaligned(a.r + i);
        w.store_unaligned(a.w + i);
        sum += w;
      } else {
        finite &= take_large({a.g + i, a.w + i, a.m + i, a.r + i}, sum);
      }
    }
    return finite && xsimd::all(sum - sum == Vec<T>(T{}));
  }

 private:
  static constexpr bool kIsFloat = std::numeric_limits<T>::max_exponent == 128;
  // Squares of numbers up to the first do not overflow; nor do those of any others times the
  // second.
  static constexpr T kLarge = static_cast<T>(kIsFloat ? 0x1p60 : 0x1p500);
  static constexpr T kDown = static_cast<T>(kIsFloat ? 0x1p-70 : 0x1p-600);
  static constexpr T kMost = std::numeric_limits<T>::max();

  static Vec<T> next_square(const Vec<T>& g, const Vec<T>& r, const Vec<T>& c2) {
    const Vec<T> square = r * r;
    return multiply_add(c2, multiply_add(g, g, -square), square);
  }

  // One vector that holds large numbers: they are made small by a power of two, and large again
  // when all is done. Leaves elements as they are whose gradient or state is not finite, and
  // returns false for them.
  [[gnu::noinline]] bool take_large(const Arrays<T>& a, Vec<T>& sum) const {
    const Vec<T> one(T{1}), most(kMost), large(kLarge);
    const auto g = Vec<T>::load_unaligned(a.g) * Vec<T>(scale_.first) * Vec<T>(scale_.second);
    const auto r = Vec<T>::load_unaligned(a.r), m = Vec<T>::load_unaligned(a.m);
    const auto is_large = (xsimd::abs(g) > large) | (xsimd::abs(m) > large) | (r > large);
    const Vec<T> down = xsimd::select(is_large, Vec<T>(kDown), one);
    const Vec<T> up = xsimd::select(is_large, Vec<T>(T{1} / kDown), one);

    const Vec<T> next_m = multiply_add(Vec<T>(c1_), g * down - m * down, m * down);
    const Vec<T> next_r = xsimd::sqrt(next_square(g * down, r * down, Vec<T>(c2_)));
    const auto finite = (xsimd::abs(next_m) <= most) & (next_r <= most);
    const Vec<T> ratio = next_m / multiply_add(next_r, Vec<T>(root_), Vec<T>(eps_) * down);
    const auto w = Vec<T>::load_unaligned(a.w);
    const Vec<T> next_w =
        xsimd::select(finite, multiply_add(Vec<T>(minus_rate_), ratio, w * Vec<T>(kept_)), w);

    // Rounding may take what is next to the largest number beyond it.
    const Vec<T> whole_m = xsimd::max(xsimd::min(next_m * up, most), -most);
    xsimd::select(finite, whole_m, m).store_unaligned(a.m);
    xsimd::select(finite, xsimd::min(next_r * up, most), r).store_unaligned(a.r);
    next_w.store_unaligned(a.w);
    sum += next_w;
    return xsimd::all(finite);
  }

  GradientScale<T> scale_;
  T c1_, c2_, minus_rate_, root_, eps_, kept_;
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

bool Adam::update(ParameterBuffer& parameters, const Part& part, double gradient_scale) {
  const double lr = part.lr;
  const auto t = static_cast<double>(steps());
  const double correction1 = 1.0 - std::pow(options_.beta1, t);
  const double correction2 = std::sqrt(1.0 - std::pow(options_.beta2, t));
  const bool keras = options_.form == Form::kKeras;
  const Factors factors = {gradient_scale,
                           1.0 - options_.beta1,
                           1.0 - options_.beta2,
                           keras ? lr * correction2 / correction1 : lr / correction1,
                           keras ? 1.0 : 1.0 / correction2,
                           options_.eps,
                           1.0 - lr * part.weight_decay};
  Tensor& values = parameters.values();
  return dispatch_device(values.device(), name(), [&] {
    return dispatch_dtype(FloatingTypes{}, values.dtype(), name(), [&]<class T>(T) {
      const T* g = parameters.read_gradients<T>().data();
      T *w = values.data<T>(), *m = m_.data<T>(), *r = r_.data<T>();
      const AdamLoop<T> loop(factors);
      return for_each_span(part, [&](std::int64_t i, std::int64_t end) {
        own_lines(w + i, end - i);
        return loop.run(end - i, {g + i, w + i, m + i, r + i});
      });
    });
  });
}

}  // namespace maskgrad
