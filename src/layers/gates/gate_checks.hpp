// What the layers of this folder check. Internal to src/layers.
#pragma once

#include <cmath>
#include <string>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad {

/// `features`. Throws Error unless they are above 0.
inline std::int64_t checked_features(const char* kind, std::int64_t features) {
  check(features > 0, kind, "needs features above 0, got {}", features);
  return features;
}

/// `bias`. Throws Error unless it is finite.
inline double checked_bias(const char* kind, double bias) {
  check(std::isfinite(bias), kind, "needs a finite bias, got {}", bias);
  return bias;
}

/// Throws Error unless x is [..., features].
inline void check_features(const std::string& kind, const Variable& x, std::int64_t features) {
  check(x.rank() > 0 && x.dim(-1) == features, kind.c_str(), "needs [..., {}], got {}", features,
        x.shape());
}

}  // namespace maskgrad
