#include <algorithm>
#include <cmath>

#include <maskgrad/layers/initializers.hpp>

namespace maskgrad {

Initializer zeros() { return constant(0.0); }
Initializer ones() { return constant(1.0); }

Initializer constant(Scalar value) {
  return [value](Tensor& values, Random&) { values.fill(value); };
}

Initializer glorot_uniform() {
  return [](Tensor& values, Random& random) {
    check(values.rank() == 2, "glorot_uniform", "needs a matrix [in, out], got {}", values.shape());
    const double limit = std::sqrt(6.0 / static_cast<double>(values.dim(0) + values.dim(1)));
    std::generate_n(values.data<double>(), values.numel(),
                    [&] { return random.uniform(-limit, limit); });
  };
}

}  // namespace maskgrad
