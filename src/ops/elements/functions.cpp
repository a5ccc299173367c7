#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/ops/elements/functions.hpp>
#include <maskgrad/ops/functors/rules.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad::ops {
namespace {

struct Erf {
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::erf(x);
  }
};

template <class F, class T>
void map_span(const char* name, F f, std::span<const T> x, std::span<T> y) {
  check(x.size() == y.size(), name, "x has {} elements, y has {}", x.size(), y.size());
  map_vectors(std::ssize(y), y.data(), f, x.data());
}

using Floats = std::span<const float>;
using Doubles = std::span<const double>;

}  // namespace

void exp(Floats x, std::span<float> y) { map_span("exp", functors::Exp(), x, y); }
void exp(Doubles x, std::span<double> y) { map_span("exp", functors::Exp(), x, y); }
void log(Floats x, std::span<float> y) { map_span("log", functors::Log(), x, y); }
void log(Doubles x, std::span<double> y) { map_span("log", functors::Log(), x, y); }
void sqrt(Floats x, std::span<float> y) { map_span("sqrt", functors::Sqrt(), x, y); }
void sqrt(Doubles x, std::span<double> y) { map_span("sqrt", functors::Sqrt(), x, y); }
void tanh(Floats x, std::span<float> y) { map_span("tanh", functors::Tanh(), x, y); }
void tanh(Doubles x, std::span<double> y) { map_span("tanh", functors::Tanh(), x, y); }
void erf(Floats x, std::span<float> y) { map_span("erf", Erf(), x, y); }
void erf(Doubles x, std::span<double> y) { map_span("erf", Erf(), x, y); }
void sigmoid(Floats x, std::span<float> y) { map_span("sigmoid", functors::Sigmoid(), x, y); }
void sigmoid(Doubles x, std::span<double> y) { map_span("sigmoid", functors::Sigmoid(), x, y); }
void softplus(Floats x, std::span<float> y) { map_span("softplus", functors::Softplus(), x, y); }
void softplus(Doubles x, std::span<double> y) { map_span("softplus", functors::Softplus(), x, y); }

}  // namespace maskgrad::ops
