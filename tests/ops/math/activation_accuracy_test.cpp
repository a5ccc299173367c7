// Elementwise functions and their slopes, against values of 50 digits and over all of float32.
#include <bit>
#include <fstream>
#include <map>
#include <sstream>

#include <gmock/gmock.h>

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/denormals.hpp>

#include "support/files.hpp"
#include "support/tensors.hpp"
#include "support/ulps.hpp"

namespace maskgrad {
namespace {

using test::Exact;
using test::kNaN;
using test::ulps;
using test::WorstUlps;

using Function = Variable (*)(const Variable&);
// The names of tests/reference/activations.py.
const std::map<std::string, Function> kFunctions = {
    {"sigmoid", ops::sigmoid},
    {"tanh", ops::tanh},
    {"softplus", ops::softplus},
    {"leaky_relu", [](const Variable& x) { return ops::leaky_relu(x); }},
    {"elu", [](const Variable& x) { return ops::elu(x); }},
    {"selu", [](const Variable& x) { return ops::elu(x, 1.6732632423543772); }},
    {"gelu", ops::gelu},
    {"gelu_tanh", ops::gelu_tanh},
    {"silu", ops::silu},
    {"exp", ops::exp},
    {"log", ops::log},
    {"sqrt", ops::sqrt},
    {"square", ops::square},
    {"scale", [](const Variable& x) { return ops::scale(x, 0.1); }},
};

template <class T>
double most_ulps(bool is_slope) {
  return (is_slope ? 4 : 2) * (dtype_of<T> == DType::kFloat32 ? 1 : 2);
}

template <class T>
struct Results {
  std::vector<T> values, gradients;
};

template <class T>
Results<T> run(Function f, const std::vector<T>& x, T g = 1) {
  const Shape shape{static_cast<std::int64_t>(x.size())};
  const Variable in = test::leaf(Tensor::from(std::span<const T>(x), shape));
  Tape tape;
  const Variable y = f(in);
  tape.backward(y, Tensor::full(shape, static_cast<double>(g), dtype_of<T>));
  const auto values = y.value().template values<T>();
  const Tensor grad = in.grad();
  const auto gradients = grad.template values<T>();
  return {{values.begin(), values.end()}, {gradients.begin(), gradients.end()}};
}

struct Points {
  std::string name, dtype;
  std::vector<double> x;
  std::vector<Exact> values, slopes;
};

// "-b504f333p-31"
Exact parse(const std::string& text) {
  const double sign = text[0] == '-' ? -1 : 1;
  if (text.find("inf") != std::string::npos) return {sign * test::kInf};
  const std::size_t start = text[0] == '-' ? 1 : 0, p = text.find('p');
  const std::uint64_t whole = std::stoull(text.substr(start, p - start), nullptr, 16);
  constexpr std::uint64_t kLow = 0xffffffff;
  return {sign * static_cast<double>(whole & ~kLow), sign * static_cast<double>(whole & kLow),
          std::stoi(text.substr(p + 1))};
}

std::vector<Points> read_fixture() {
  std::vector<Points> all;
  std::ifstream file(test::test_data("activations.txt"));
  std::string line, first, second, third;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    words >> first >> second;
    if (words >> third) {
      all.back().x.push_back(std::strtod(first.c_str(), nullptr));
      all.back().values.push_back(parse(second));
      all.back().slopes.push_back(parse(third));
    } else {
      all.push_back({first, second, {}, {}, {}});
    }
  }
  return all;
}

void report(const std::string& what, const WorstUlps& worst, double most) {
  EXPECT_LE(worst.ulps, most) << what << " at " << worst.at;
  std::printf("%-28s %.3f ulp at %.17g\n", what.c_str(), worst.ulps, worst.at);
}

template <class T>
void expect_accurate(const Points& points) {
  const std::vector<T> x(points.x.begin(), points.x.end());
  const Function f = kFunctions.at(points.name);
  const Results<T> one = run<T>(f, x), scaled = run<T>(f, x, T{0.75});
  WorstUlps value, slope;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Exact &y = points.values[i], &dy = points.slopes[i];
    value.add(ulps(one.values[i], y), points.x[i]);
    slope.add(ulps(one.gradients[i], dy), points.x[i]);
    if (std::isfinite(dy.high)) {
      const Exact expected = {0.75 * dy.high, 0.75 * dy.low, dy.exponent};
      slope.add(ulps(scaled.gradients[i], expected), points.x[i]);
    }
    // An underflow keeps the sign.
    if (one.values[i] == 0) {
      EXPECT_EQ(std::signbit(one.values[i]), std::signbit(y.high))
          << points.name << " of " << points.x[i];
    }
  }
  report(points.name + " " + points.dtype, value, most_ulps<T>(false));
  report(points.name + " " + points.dtype + " slope", slope, most_ulps<T>(true));
}

TEST(ElementwiseAccuracy, IsWithinAFewUlpOfFiftyDigitsOverTheWholeRange) {
  const std::vector<Points> fixture = read_fixture();
  EXPECT_EQ(fixture.size(), 2 * kFunctions.size());
  for (const Points& points : fixture) {
    EXPECT_GE(points.x.size(), 100u) << points.name;
    points.dtype == "float32" ? expect_accurate<float>(points) : expect_accurate<double>(points);
  }
}

// What is below the least normal number may be 0 then, and so may be what is computed of that.
// Without fused multiplications the same goes for a product that something is added to.
template <class T>
void expect_accurate_or_flushed(const Points& points) {
  constexpr double kLeast = std::numeric_limits<T>::min();
  constexpr double kLost = ops::math::kFuses ? 0.0 : kLeast;
  const std::vector<T> x(points.x.begin(), points.x.end());
  Results<T> results;
  {
    const FlushDenormals flush;
    results = run<T>(kFunctions.at(points.name), x);
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::abs(points.x[i]) < kLeast) continue;
    const auto expect = [&](T y, const Exact& exact, double most) {
      const double size = std::ldexp(std::abs(exact.high + exact.low), exact.exponent);
      if (y == 0 && size < 1.01 * kLeast) {
        EXPECT_EQ(std::signbit(y), std::signbit(exact.high)) << points.name << " of " << x[i];
      } else if (!(std::abs(std::abs(static_cast<double>(y)) - size) <= kLost)) {
        EXPECT_LE(ulps(y, exact), most) << points.name << " of " << x[i];
      }
    };
    expect(results.values[i], points.values[i], most_ulps<T>(false));
    expect(results.gradients[i], points.slopes[i], most_ulps<T>(true));
  }
}

TEST(ElementwiseAccuracy, HoldsWhereDenormalNumbersAreFlushed) {
  for (const Points& points : read_fixture()) {
    points.dtype == "float32" ? expect_accurate_or_flushed<float>(points)
                              : expect_accurate_or_flushed<double>(points);
  }
}

// Every 4,097th pattern of bits: all exponents, both signs, NaN.
std::vector<float> sweep() {
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 4097) {
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  return x;
}

TEST(ElementwiseAccuracy, HoldsAMillionTimesOverFloat32) {
  const std::vector<float> x = sweep();
  const std::vector<double> wide(x.begin(), x.end());
  for (const auto& [name, f] : kFunctions) {
    // The double computation is itself tested above; its errors are 2^-29 of those here.
    const Results<float> narrow = run<float>(f, x);
    const Results<double> exact = run<double>(f, wide);
    WorstUlps value, slope;
    for (std::size_t i = 0; i < x.size(); ++i) {
      value.add(ulps(narrow.values[i], {exact.values[i]}), wide[i]);
      slope.add(ulps(narrow.gradients[i], {exact.gradients[i]}), wide[i]);
    }
    report(name, value, most_ulps<float>(false));
    report(name + " slope", slope, most_ulps<float>(true));
  }
}

// These do not round.
TEST(ElementwiseAccuracy, OfReluAbsAndNegateIsFull) {
  struct {
    Function f;
    float (*value)(float);
    float (*slope)(float);
  } const functions[] = {{ops::relu, [](float x) { return x < 0 ? 0 : x; },
                          [](float x) { return x <= 0 ? 0.0F : 1.0F; }},
                         {ops::abs, [](float x) { return std::abs(x); },
                          [](float x) { return x > 0   ? 1.0F
                                               : x < 0 ? -1.0F
                                                       : 0.0F * x; }},
                         {ops::negate, [](float x) { return -x; }, [](float) { return -1.0F; }}};
  const std::vector<float> x = sweep();
  for (const auto& [f, value, slope] : functions) {
    const Results<float> results = run<float>(f, x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(ulps(results.values[i], {value(x[i])}), 0) << x[i];
      ASSERT_EQ(ulps(results.gradients[i], {slope(x[i])}), 0) << x[i];
    }
  }
}

}  // namespace
}  // namespace maskgrad
