#include <algorithm>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/generate/key_value_cache.hpp>
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

test::MakeLayer maker(std::int64_t hidden, const LstmOptions& options = {}) {
  return [=] { return std::make_unique<Lstm>(kFeatures, hidden, options); };
}
constexpr LstmOptions kStack = {.layers = 2, .bidirectional = true};
const bool kRegistered = register_layer({"Lstm", maker(kHidden)}) &&
                         register_layer({"LstmStack", maker(kHidden, kStack)});

// h at each position of one sequence, all of whose positions exist.
Matrix naive(const Matrix& x, const Matrix& w_x, const Matrix& w_h, const std::vector<double>& b) {
  const std::size_t n = w_h.size();
  std::vector<double> h(n), c(n);
  Matrix outputs;
  for (const auto& input : x) {
    const Matrix of_x = test::product({input}, w_x), of_h = test::product({h}, w_h);
    const auto gate = [&](std::size_t part, std::size_t j) {
      return of_x[0][part * n + j] + of_h[0][part * n + j] + b[part * n + j];
    };
    for (std::size_t j = 0; j < n; ++j) {
      c[j] = test::logistic(gate(1, j)) * c[j] + test::logistic(gate(0, j)) * std::tanh(gate(2, j));
      h[j] = test::logistic(gate(3, j)) * std::tanh(c[j]);
    }
    outputs.push_back(h);
  }
  return outputs;
}

TEST(Lstm, ComputesTheEquations) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    Lstm layer(kFeatures, kHidden);
    ParameterBuffer parameters(layer, dtype, 1);
    test::redraw(parameters, random);
    const Tensor x = test::uniform(random, {1, 6, kFeatures}).to(dtype);
    const Matrix expected =
        naive(test::rows(x), test::weights(parameters, "w_x1"), test::weights(parameters, "w_h1"),
              test::weights(parameters, "b1")[0]);
    EXPECT_TRUE(test::is_close(layer(Variable(x)).value(), test::flat(expected),
                               4 * test::tolerance(dtype)));
  }
}

TEST(Lstm, BeginsUniformWithOpenForgetGates) {
  Lstm layer(kFeatures, 16, {.forget_bias = 2});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  for (const auto& [name, value] : parameters.named_values()) {
    std::vector<double> values = to_doubles(value);
    if (name == "b1") {
      for (std::size_t j = 16; j < 32; ++j) values[j] -= 2;
    }
    for (const double x : values) EXPECT_LE(std::abs(x), 0.25) << name;
    EXPECT_GT(*std::max_element(values.begin(), values.end()), 0.2) << name;
    EXPECT_LT(*std::min_element(values.begin(), values.end()), -0.2) << name;
  }
}

TEST(Lstm, NamesTheParametersOfEachLayerAndDirection) {
  Lstm layer(kFeatures, kHidden, kStack);
  std::vector<std::string> names;
  for (const NamedParameter& p : layer.parameters()) {
    names.push_back(p.name + " " + to_string(p.parameter->shape()));
  }
  EXPECT_THAT(names, ::testing::ElementsAre("w_x1 (5, 12)", "w_h1 (3, 12)", "b1 (12,)",
                                            "w_x1_reverse (5, 12)", "w_h1_reverse (3, 12)",
                                            "b1_reverse (12,)", "w_x2 (6, 12)", "w_h2 (3, 12)",
                                            "b2 (12,)", "w_x2_reverse (6, 12)",
                                            "w_h2_reverse (3, 12)", "b2_reverse (12,)"));
  // 3 (5 * 12 + 3 * 12 + 6 * 12 + 3 * 12) a direction
  EXPECT_EQ(layer.row_work(), (ops::Work{.per_position = 3 * 2 * (60 + 36 + 72 + 36)}));
}

TEST(Lstm, GoesOnFromTheStatesThatItGave) {
  Lstm layer(kFeatures, kHidden, {.layers = 2});
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Random random(2);
  const Variable x(test::uniform(random, {2, 7, kFeatures}));
  Pass pass;
  const Lstm::Result whole = layer.run(x, {}, pass);
  const Lstm::Result first = layer.run(ops::slice(x, 1, 0, 3), {}, pass);
  const Lstm::Result second = layer.run(ops::slice(x, 1, 3), first.last, pass);
  EXPECT_TRUE(same_bits(ops::slice(whole.output, 1, 0, 3).value(), first.output.value()));
  EXPECT_TRUE(same_bits(ops::slice(whole.output, 1, 3).value(), second.output.value()));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(same_bits(whole.last[i].h.value(), second.last[i].h.value()));
    EXPECT_TRUE(same_bits(whole.last[i].c.value(), second.last[i].c.value()));
  }
}

TEST(Lstm, GivesTheSameBitsOnAPackedRow) {
  Random random(3);
  const SequenceMask mask = test::mask_of({1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1}, {3, 4});
  for (const DType dtype : test::kFloatingDTypes) {
    Lstm layer(kFeatures, kHidden, kStack);
    ParameterBuffer parameters(layer, dtype, 1);
    const Variable x(test::uniform(random, {3, 4, kFeatures}).to(dtype), Variable::kConstant, mask);
    Pass pass;
    const Lstm::Result padded = layer.run(x, {}, pass);
    const ops::Packing packing = ops::packing_of(mask);
    Pass row = pass.on_row(packing);
    const Lstm::Result packed = layer.run(ops::pack(x, packing), {}, row);
    EXPECT_TRUE(same_bits(ops::unpack(packed.output, packing).value(), padded.output.value()));
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(same_bits(packed.last[i].h.value(), padded.last[i].h.value()));
      EXPECT_TRUE(same_bits(packed.last[i].c.value(), padded.last[i].c.value()));
    }
  }
}

TEST(Lstm, IsSoundStackedAtExtremesAndWithoutPositions) {
  test::expect_gradients(maker(kFeatures), kFeatures);
  test::expect_finite_at_extremes(maker(kHidden, kStack), kFeatures);
  test::expect_nothing_of_nothing(maker(kHidden, kStack), kFeatures);
}

TEST(Lstm, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of([] { Lstm(0, 3); }),
            "[Lstm] needs features, hidden and layers above 0, got 0, 3 and 1");
  EXPECT_EQ(error_of([] { Lstm(2, 3, {.layers = 0}); }),
            "[Lstm] needs features, hidden and layers above 0, got 2, 3 and 0");
  EXPECT_EQ(error_of([] { Lstm(2, 3, {.forget_bias = test::kNaN}); }),
            "[Lstm] needs a finite forget_bias, got nan");
  Lstm layer(2, 3, {.layers = 2});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const auto zeros = [](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat64));
  };
  const auto said = [&](const Variable& x, std::vector<ops::LstmState> start, Pass pass = {}) {
    return error_of([&] { layer.run(x, start, pass); });
  };
  EXPECT_EQ(error_of([&] { layer(zeros({2, 2})); }), "[Lstm] needs [B, S, 2], got (2, 2)");
  EXPECT_EQ(said(zeros({1, 2, 3}), {}), "[Lstm] needs [B, S, 2], got (1, 2, 3)");
  const ops::LstmState state = {zeros({1, 3}), zeros({1, 3})};
  EXPECT_EQ(said(zeros({1, 2, 2}), {state}), "[Lstm] needs 2 states to begin with, got 1");
  EXPECT_EQ(said(zeros({1, 2, 2}), {state, {zeros({1, 3}), zeros({1, 2})}}),
            "[lstm] needs c (1, 3), got (1, 2)");
  KeyValueCache cache(1, 4);
  EXPECT_EQ(said(zeros({1, 2, 2}), {}, Pass::reading(cache)),
            "[Lstm] has states, which a cache of keys and values does not hold; run() it from "
            "them in a pass of its own");
}

}  // namespace
}  // namespace maskgrad
