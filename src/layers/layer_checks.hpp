// What several layers check. Internal to src/layers.
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

/// Throws Error unless both are above 0. `names` is what they are called: "inputs and outputs".
inline void check_sizes(const char* kind, const char* names, std::int64_t a, std::int64_t b) {
  check(a > 0 && b > 0, kind, "needs {} above 0, got {} and {}", names, a, b);
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

/// Throws Error unless x is [B, S, features].
inline void check_sequences(const char* kind, const Variable& x, std::int64_t features) {
  check(x.rank() == 3 && x.dim(2) == features, kind, "needs [B, S, {}], got {}", features,
        x.shape());
}

/// Throws Error where `value`, which a gate of x lets pass, carries a mask and x none. Another mask
/// than that of x is refused where the two meet.
inline void check_mask_of_value(const char* kind, const Variable& x, const Variable& value) {
  check(x.mask().defined() || !value.mask().defined(), kind,
        "a value carries a mask, and the input of the gate none");
}

/// Throws Error unless `best`, what each sample of a Choice is given to, is int64 and holds numbers
/// of candidates, or -1.
inline void check_best(const char* kind, const Tensor& best, std::int64_t candidates) {
  check(best.dtype() == DType::kInt64, kind, "the best of a choice are int64, not {}",
        to_string(best.dtype()));
  for (const std::int64_t number : best.values<std::int64_t>()) {
    check(-1 <= number && number < candidates, kind, "a best of {} is none of {} candidates",
          number, candidates);
  }
}

}  // namespace maskgrad
