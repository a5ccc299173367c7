// What SGD does to one element, or to a vector of them. Internal to the optimizers.
#pragma once

#include <limits>
#include <utility>

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/train/optim/gradient_scale.hpp>
#include <maskgrad/train/optim/late_update.hpp>

namespace maskgrad {

/// w = kept * w - rate * u
struct SgdFactors {
  double momentum, rate, kept, gradient_scale;
};

/// Elements [first, first + count) of the flat tensors. `late` is never null.
inline constinit CudaKernel<void(const SgdFactors& factors, std::int64_t first, std::int64_t count,
                                 const Tensor& g, Tensor& w, Tensor& u, LateUpdate* late)>
    kSgdCuda{"sgd"};

/// V is an element or a vector.
template <class V>
class SgdRule {
  using T = ops::math::Element<V>;

 public:
  using Condition = decltype(std::declval<V>() <= std::declval<V>());
  struct State {
    V w, u;
  };

  MASKGRAD_RULE explicit SgdRule(const SgdFactors& f)
      : SgdRule(GradientScale<T>(f.gradient_scale), f) {}

  MASKGRAD_RULE V scaled(V g) const { return g * scale_ * rest_of_scale_; }
  MASKGRAD_RULE Condition is_finite(V g) const { return ops::math::abs(g) <= most_; }
  /// g is scaled, and finite.
  MASKGRAD_RULE State next(V g, const State& s) const {
    using ops::math::multiply_add;
    const V u = multiply_add(momentum_, s.u, g);
    return {multiply_add(minus_rate_, u, s.w * kept_), u};
  }

 private:
  MASKGRAD_RULE SgdRule(const GradientScale<T>& scale, const SgdFactors& f)
      : scale_(scale.first),
        rest_of_scale_(scale.second),
        momentum_(static_cast<T>(f.momentum)),
        minus_rate_(static_cast<T>(-f.rate)),
        kept_(static_cast<T>(f.kept)),
        most_(std::numeric_limits<T>::max()) {}

  V scale_, rest_of_scale_, momentum_, minus_rate_, kept_, most_;
};

}  // namespace maskgrad
