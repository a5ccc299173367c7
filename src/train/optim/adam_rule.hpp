// What Adam does to one element, or to a vector of them. Internal to the optimizers.
#pragma once

#include <limits>
#include <utility>

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/train/optim/gradient_scale.hpp>
#include <maskgrad/train/optim/late_update.hpp>

namespace maskgrad {

/// w = kept * w - rate * m / (root * r + eps) covers both forms.
struct AdamFactors {
  double gradient_scale, one_minus_beta1, one_minus_beta2, rate, root, eps, kept;
};

/// Elements [first, first + count) of the flat tensors. `late` is never null.
inline constinit CudaKernel<void(const AdamFactors& factors, std::int64_t first, std::int64_t count,
                                 const Tensor& g, Tensor& w, Tensor& m, Tensor& r,
                                 LateUpdate* late)>
    kAdamCuda{"adam"};

/// V is an element or a vector.
template <class V>
class AdamRule {
  using T = ops::math::Element<V>;

 public:
  using Condition = decltype(std::declval<V>() <= std::declval<V>());
  struct State {
    V w, m, r;
  };

  MASKGRAD_RULE explicit AdamRule(const AdamFactors& f)
      : AdamRule(GradientScale<T>(f.gradient_scale), f) {}

  MASKGRAD_RULE V scaled(V g) const { return g * scale_; }
  /// The next r^2.
  MASKGRAD_RULE V square(V scaled_g, V r) const {
    const V square = r * r;
    return ops::math::multiply_add(
        c2_, ops::math::multiply_add(scaled_g, scaled_g, ops::math::negative(square)), square);
  }
  /// Whether next_m() and next_w() are for such a square, whose root is the next r. False for NaN.
  MASKGRAD_RULE Condition fits(V square) const { return square <= limit_; }

  MASKGRAD_RULE V next_m(V scaled_g, V m) const {
    return ops::math::multiply_add(c1_, scaled_g - m, m);
  }
  /// m and r are the next ones.
  MASKGRAD_RULE V next_w(V w, V m, V r) const {
    const V ratio = m / ops::math::multiply_add(r, root_, eps_);
    return ops::math::multiply_add(minus_rate_, ratio, w * kept_);
  }

  /// For large numbers: they are made small by a power of two, and large again when all is done.
  /// Leaves elements as they are whose gradient or state is not `finite`. The gradient is not
  /// scaled.
  MASKGRAD_RULE State next_of_large(V gradient, const State& s, Condition& finite) const {
    using namespace ops;
    const V one(T{1}), most(kMost), large(kLarge), least(-kMost), small(kDown), back(T{1} / kDown);
    const V g = gradient * scale_ * rest_of_scale_;
    const Condition large_g = math::abs(g) > large, large_m = math::abs(s.m) > large;
    const Condition is_large = large_g | large_m | Condition(s.r > large);
    const V down = math::select(is_large, small, one), up = math::select(is_large, back, one);

    const V m = math::multiply_add(c1_, g * down - s.m * down, s.m * down);
    const V r = math::sqrt(square(g * down, s.r * down));
    finite = Condition((math::abs(m) <= most) & (r <= most));
    const V ratio = m / math::multiply_add(r, root_, eps_ * down);
    const V w = math::multiply_add(minus_rate_, ratio, s.w * kept_);

    // Rounding may take what is next to the largest number beyond it.
    const V whole_m = math::at_least(math::at_most(m * up, most), least);
    return {math::select(finite, w, s.w), math::select(finite, whole_m, s.m),
            math::select(finite, math::at_most(r * up, most), s.r)};
  }

 private:
  static constexpr bool kIsFloat = std::numeric_limits<T>::max_exponent == 128;
  // Squares of numbers up to the first do not overflow; nor do those of any others times the
  // second.
  static constexpr T kLarge = static_cast<T>(kIsFloat ? 0x1p60 : 0x1p500);
  static constexpr T kDown = static_cast<T>(kIsFloat ? 0x1p-70 : 0x1p-600);
  static constexpr T kMost = std::numeric_limits<T>::max();

  MASKGRAD_RULE AdamRule(const GradientScale<T>& scale, const AdamFactors& f)
      : scale_(scale.first),
        rest_of_scale_(scale.second),
        limit_(scale.is_one_factor() ? kLarge * kLarge : T{-1}),
        c1_(static_cast<T>(f.one_minus_beta1)),
        c2_(static_cast<T>(f.one_minus_beta2)),
        minus_rate_(static_cast<T>(-f.rate)),
        root_(static_cast<T>(f.root)),
        eps_(static_cast<T>(f.eps)),
        kept_(static_cast<T>(f.kept)) {}

  V scale_, rest_of_scale_, limit_, c1_, c2_, minus_rate_, root_, eps_, kept_;
};

}  // namespace maskgrad
