// What recurrent layers have in common.
#include <algorithm>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/layers/recurrent/gru.hpp>
#include <maskgrad/layers/recurrent/lstm.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/shape/slice.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Matrix;
using test::same_bits;
using test::to_doubles;

constexpr std::int64_t kFeatures = LayerSample::kFeatures, kHidden = 3;

// h at each position of one sequence, all of whose positions exist.
Matrix naive(const Lstm&, const Matrix& x, const ParameterBuffer& parameters) {
  const Matrix w_h = test::weights(parameters, "w_h1");
  const std::size_t n = w_h.size();
  std::vector<double> h(n), c(n);
  Matrix outputs;
  for (const auto& input : x) {
    const Matrix of_x = test::affine({input}, parameters, "w_x1", "b1"),
                 of_h = test::product({h}, w_h);
    const auto gate = [&](std::size_t part, std::size_t j) {
      return of_x[0][part * n + j] + of_h[0][part * n + j];
    };
    for (std::size_t j = 0; j < n; ++j) {
      c[j] = test::logistic(gate(1, j)) * c[j] + test::logistic(gate(0, j)) * std::tanh(gate(2, j));
      h[j] = test::logistic(gate(3, j)) * std::tanh(c[j]);
    }
    outputs.push_back(h);
  }
  return outputs;
}
Matrix naive(const Gru&, const Matrix& x, const ParameterBuffer& parameters) {
  const std::size_t n = test::weights(parameters, "w_h1").size();
  std::vector<double> h(n);
  Matrix outputs;
  for (const auto& input : x) {
    const Matrix u = test::affine({input}, parameters, "w_x1", "b_x1"),
                 v = test::affine({h}, parameters, "w_h1", "b_h1");
    for (std::size_t j = 0; j < n; ++j) {
      const double r = test::logistic(u[0][j] + v[0][j]),
                   z = test::logistic(u[0][n + j] + v[0][n + j]);
      h[j] = (1 - z) * std::tanh(u[0][2 * n + j] + r * v[0][2 * n + j]) + z * h[j];
    }
    outputs.push_back(h);
  }
  return outputs;
}

// What a state is made of.
std::vector<Variable> parts(const ops::LstmState& state) { return {state.h, state.c}; }
std::vector<Variable> parts(const Variable& h) { return {h}; }

template <class States>
void expect_same_states(const States& a, const States& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::vector<Variable> of_a = parts(a[i]), of_b = parts(b[i]);
    for (std::size_t k = 0; k < of_a.size(); ++k) {
      EXPECT_TRUE(same_bits(of_a[k].value(), of_b[k].value())) << i << " " << k;
    }
  }
}

template <class L>
struct Stack : L {
  Stack() : L(kFeatures, kHidden, {.layers = 2, .bidirectional = true}) {}
};
template <class L>
std::unique_ptr<Layer> single() {
  return std::make_unique<L>(kFeatures, kHidden);
}

const bool kRegistered = register_layer({"Lstm", single<Lstm>}) &&
                         register_layer({"Gru", single<Gru>}) &&
                         register_layer({"LstmStack", std::make_unique<Stack<Lstm>>}) &&
                         register_layer({"GruStack", std::make_unique<Stack<Gru>>});

template <class L>
class RecurrentLayer : public ::testing::Test {};
struct Names {
  template <class L>
  static std::string GetName(int) {
    return std::is_same_v<L, Lstm> ? "Lstm" : "Gru";
  }
};
using Both = ::testing::Types<Lstm, Gru>;
TYPED_TEST_SUITE(RecurrentLayer, Both, Names);

TYPED_TEST(RecurrentLayer, ComputesTheEquations) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    test::Drawn<TypeParam> drawn(random, dtype, kFeatures, kHidden);
    const Tensor x = test::uniform(random, {1, 6, kFeatures}).to(dtype);
    const Matrix expected = naive(drawn.layer, test::rows(x), drawn.parameters);
    EXPECT_TRUE(test::is_close(drawn.layer(Variable(x)).value(), test::flat(expected),
                               4 * test::tolerance(dtype)));
  }
}

TYPED_TEST(RecurrentLayer, GoesOnFromTheStatesThatItGave) {
  TypeParam layer(kFeatures, kHidden, {.layers = 2});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Random random(2);
  const Variable x(test::uniform(random, {2, 7, kFeatures}));
  Pass pass;
  const auto whole = layer.run(x, {}, pass);
  const auto first = layer.run(ops::slice(x, 1, 0, 3), {}, pass);
  const auto second = layer.run(ops::slice(x, 1, 3), first.last, pass);
  EXPECT_TRUE(same_bits(ops::slice(whole.output, 1, 0, 3).value(), first.output.value()));
  EXPECT_TRUE(same_bits(ops::slice(whole.output, 1, 3).value(), second.output.value()));
  EXPECT_EQ(whole.last.size(), 2u);
  expect_same_states(whole.last, second.last);
}

TYPED_TEST(RecurrentLayer, GivesTheSameBitsOnAPackedRow) {
  Random random(3);
  const SequenceMask mask = test::mask_of({1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1}, {3, 4});
  for (const DType dtype : test::kFloatingDTypes) {
    Stack<TypeParam> layer;
    const ParameterBuffer parameters(layer, dtype, 1);
    const Variable x(test::uniform(random, {3, 4, kFeatures}).to(dtype), Variable::kConstant, mask);
    Pass pass;
    const auto padded = layer.run(x, {}, pass);
    const ops::Packing packing = ops::packing_of(mask);
    Pass row = pass.on_row(packing);
    const auto packed = layer.run(ops::pack(x, packing), {}, row);
    EXPECT_TRUE(same_bits(ops::unpack(packed.output, packing).value(), padded.output.value()));
    EXPECT_EQ(padded.last.size(), 4u);
    expect_same_states(packed.last, padded.last);
  }
}

TYPED_TEST(RecurrentLayer, IsSoundStackedAtExtremesAndWithoutPositions) {
  test::expect_gradients([] { return std::make_unique<TypeParam>(kFeatures, kFeatures); },
                         kFeatures);
  test::expect_finite_at_extremes(std::make_unique<Stack<TypeParam>>, kFeatures);
  test::expect_nothing_of_nothing(std::make_unique<Stack<TypeParam>>, kFeatures);
}

TYPED_TEST(RecurrentLayer, RefusesWhatDoesNotFit) {
  TypeParam layer(2, 3, {.layers = 2});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const auto message = [&](const char* text) { return fmt::format("[{}] {}", layer.kind(), text); };
  EXPECT_EQ(error_of([] { TypeParam(0, 3); }),
            message("needs features, hidden and layers above 0, got 0, 3 and 1"));
  EXPECT_EQ(error_of([] { TypeParam(2, 3, {.layers = 0}); }),
            message("needs features, hidden and layers above 0, got 2, 3 and 0"));
  const auto zeros = [](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat64));
  };
  Pass pass;
  EXPECT_EQ(error_of([&] { layer(zeros({2, 2})); }), message("needs [B, S, 2], got (2, 2)"));
  EXPECT_EQ(error_of([&] {
              layer.run(zeros({1, 2, 3}), {}, pass);
            }),
            message("needs [B, S, 2], got (1, 2, 3)"));
  const auto last = layer.run(zeros({1, 2, 2}), {}, pass).last;
  EXPECT_EQ(error_of([&] {
              layer.run(zeros({1, 2, 2}), std::span(last).first(1), pass);
            }),
            message("needs 2 states to begin with, got 1"));
  KeyValueCache cache(1, 4);
  Pass reading = Pass::reading(cache);
  EXPECT_EQ(error_of([&] {
              layer.run(zeros({1, 2, 2}), {}, reading);
            }),
            message("has states, which a cache of keys and values does not hold; run() it from "
                    "them in a pass of its own"));
}

template <class L>
void expect_uniform(L&& layer, double most) {
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  for (const auto& [name, value] : parameters.named_values()) {
    const std::vector<double> values = to_doubles(value);
    const auto [least, largest] = std::minmax_element(values.begin(), values.end());
    EXPECT_GE(*least, -most) << name;
    EXPECT_LT(*least, -0.8 * most) << name;
    EXPECT_LE(*largest, most) << name;
    EXPECT_GT(*largest, 0.8 * most) << name;
  }
}

TEST(RecurrentLayers, BeginUniform) {
  expect_uniform(Lstm(kFeatures, 16, {.forget_bias = 0}), 0.25);
  expect_uniform(Gru(kFeatures, 16), 0.25);
}

}  // namespace
}  // namespace maskgrad
