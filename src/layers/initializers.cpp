#include <algorithm>
#include <cmath>
#include <numbers>

#include <maskgrad/layers/initializers.hpp>

namespace maskgrad {
namespace {

template <class Draw>
void draw_all(Tensor& values, Draw draw) {
  std::generate_n(values.data<double>(), values.numel(), draw);
}

void check_matrix(const char* name, const Tensor& values) {
  check(values.rank() == 2, name, "needs a matrix [in, out], got {}", values.shape());
}

// Normal with mean 0 and variance 1, from two numbers (Box & Muller 1958).
double draw_normal(Random& random) {
  const double u = random.uniform(), v = random.uniform();
  return std::sqrt(-2 * std::log1p(-u)) * std::cos(2 * std::numbers::pi * v);
}

void check_normal(const char* name, double mean, double stddev) {
  check(std::isfinite(mean) && std::isfinite(stddev) && stddev >= 0, name,
        "needs a finite mean, and a finite stddev of at least 0, got {} and {}", mean, stddev);
}

double fan_in(const Tensor& values) { return static_cast<double>(values.dim(0)); }
double fan_out(const Tensor& values) { return static_cast<double>(values.dim(1)); }

}  // namespace

Initializer zeros() { return constant(0.0); }
Initializer ones() { return constant(1.0); }

Initializer constant(Scalar value) {
  return [value](Tensor& values, Random&) { values.fill(value); };
}

Initializer normal(double mean, double stddev) {
  check_normal("normal", mean, stddev);
  return [=](Tensor& values, Random& random) {
    draw_all(values, [&] { return mean + stddev * draw_normal(random); });
  };
}

Initializer truncated_normal(double mean, double stddev) {
  check_normal("truncated_normal", mean, stddev);
  return [=](Tensor& values, Random& random) {
    draw_all(values, [&] {
      double z = draw_normal(random);
      while (std::abs(z) > 2) z = draw_normal(random);
      return mean + stddev * z;
    });
  };
}

Initializer uniform(double limit) {
  check(std::isfinite(limit) && limit > 0, "uniform", "needs a finite limit above 0, got {}",
        limit);
  return [=](Tensor& values, Random& random) {
    draw_all(values, [&] { return random.uniform(-limit, limit); });
  };
}

Initializer glorot_uniform() {
  return [](Tensor& values, Random& random) {
    check_matrix("glorot_uniform", values);
    const double limit = std::sqrt(6.0 / (fan_in(values) + fan_out(values)));
    draw_all(values, [&] { return random.uniform(-limit, limit); });
  };
}

Initializer he_normal() {
  return [](Tensor& values, Random& random) {
    check_matrix("he_normal", values);
    const double stddev = std::sqrt(2.0 / fan_in(values));
    draw_all(values, [&] { return stddev * draw_normal(random); });
  };
}

Initializer he_uniform() {
  return [](Tensor& values, Random& random) {
    check_matrix("he_uniform", values);
    const double limit = std::sqrt(6.0 / fan_in(values));
    draw_all(values, [&] { return random.uniform(-limit, limit); });
  };
}

Initializer scaled(Initializer start, double factor) {
  check(start != nullptr, "scaled", "needs an initializer");
  check(std::isfinite(factor), "scaled", "the factor must be finite, got {}", factor);
  return [=](Tensor& values, Random& random) {
    start(values, random);
    double* const first = values.data<double>();
    for (std::int64_t i = 0; i < values.numel(); ++i) first[i] *= factor;
  };
}

}  // namespace maskgrad
