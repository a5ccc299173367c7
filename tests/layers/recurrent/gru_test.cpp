#include <algorithm>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/layers/recurrent/gru.hpp>
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

test::MakeLayer maker(std::int64_t hidden, const GruOptions& options = {}) {
  return [=] { return std::make_unique<Gru>(kFeatures, hidden, options); };
}
constexpr GruOptions kStack = {.layers = 2, .bidirectional = true};
const bool kRegistered =
    register_layer({"Gru", maker(kHidden)}) && register_layer({"GruStack", maker(kHidden, kStack)});

// h at each position of one sequence, all of whose positions exist.
Matrix naive(const Matrix& x, const ParameterBuffer& parameters) {
  const Matrix w_h = test::weights(parameters, "w_h1");
  const std::size_t n = w_h.size();
  std::vector<double> h(n);
  Matrix outputs;
  for (const auto& input : x) {
    const Matrix u = test::shifted(test::product({input}, test::weights(parameters, "w_x1")),
                                   test::weights(parameters, "b_x1")[0]);
    const Matrix v = test::shifted(test::product({h}, w_h), test::weights(parameters, "b_h1")[0]);
    for (std::size_t j = 0; j < n; ++j) {
      const double r = test::logistic(u[0][j] + v[0][j]),
                   z = test::logistic(u[0][n + j] + v[0][n + j]);
      h[j] = (1 - z) * std::tanh(u[0][2 * n + j] + r * v[0][2 * n + j]) + z * h[j];
    }
    outputs.push_back(h);
  }
  return outputs;
}

TEST(Gru, ComputesTheEquations) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    Gru layer(kFeatures, kHidden);
    ParameterBuffer parameters(layer, dtype, 1);
    test::redraw(parameters, random);
    const Tensor x = test::uniform(random, {1, 6, kFeatures}).to(dtype);
    EXPECT_TRUE(test::is_close(layer(Variable(x)).value(),
                               test::flat(naive(test::rows(x), parameters)),
                               4 * test::tolerance(dtype)));
  }
}

TEST(Gru, BeginsUniform) {
  Gru layer(kFeatures, 16);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  for (const auto& [name, value] : parameters.named_values()) {
    const std::vector<double> values = to_doubles(value);
    for (const double x : values) EXPECT_LE(std::abs(x), 0.25) << name;
    EXPECT_GT(*std::max_element(values.begin(), values.end()), 0.2) << name;
    EXPECT_LT(*std::min_element(values.begin(), values.end()), -0.2) << name;
  }
}

TEST(Gru, NamesTheParametersOfEachLayerAndDirection) {
  Gru layer(kFeatures, kHidden, kStack);
  std::vector<std::string> names;
  for (const NamedParameter& p : layer.parameters()) {
    names.push_back(p.name + " " + to_string(p.parameter->shape()));
  }
  EXPECT_THAT(names, ::testing::ElementsAre("w_x1 (5, 9)", "w_h1 (3, 9)", "b_x1 (9,)", "b_h1 (9,)",
                                            "w_x1_reverse (5, 9)", "w_h1_reverse (3, 9)",
                                            "b_x1_reverse (9,)", "b_h1_reverse (9,)", "w_x2 (6, 9)",
                                            "w_h2 (3, 9)", "b_x2 (9,)", "b_h2 (9,)",
                                            "w_x2_reverse (6, 9)", "w_h2_reverse (3, 9)",
                                            "b_x2_reverse (9,)", "b_h2_reverse (9,)"));
  // 3 (5 * 9 + 3 * 9 + 6 * 9 + 3 * 9) a direction
  EXPECT_EQ(layer.row_work(), (ops::Work{.per_position = 3 * 2 * (45 + 27 + 54 + 27)}));
}

TEST(Gru, GoesOnFromTheStatesThatItGave) {
  Gru layer(kFeatures, kHidden, {.layers = 2});
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Random random(2);
  const Variable x(test::uniform(random, {2, 7, kFeatures}));
  Pass pass;
  const Gru::Result whole = layer.run(x, {}, pass);
  const Gru::Result first = layer.run(ops::slice(x, 1, 0, 3), {}, pass);
  const Gru::Result second = layer.run(ops::slice(x, 1, 3), first.last, pass);
  EXPECT_TRUE(same_bits(ops::slice(whole.output, 1, 0, 3).value(), first.output.value()));
  EXPECT_TRUE(same_bits(ops::slice(whole.output, 1, 3).value(), second.output.value()));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(same_bits(whole.last[i].value(), second.last[i].value()));
  }
}

TEST(Gru, GivesTheSameBitsOnAPackedRow) {
  Random random(3);
  const SequenceMask mask = test::mask_of({1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1}, {3, 4});
  for (const DType dtype : test::kFloatingDTypes) {
    Gru layer(kFeatures, kHidden, kStack);
    ParameterBuffer parameters(layer, dtype, 1);
    const Variable x(test::uniform(random, {3, 4, kFeatures}).to(dtype), Variable::kConstant, mask);
    Pass pass;
    const Gru::Result padded = layer.run(x, {}, pass);
    const ops::Packing packing = ops::packing_of(mask);
    Pass row = pass.on_row(packing);
    const Gru::Result packed = layer.run(ops::pack(x, packing), {}, row);
    EXPECT_TRUE(same_bits(ops::unpack(packed.output, packing).value(), padded.output.value()));
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(same_bits(packed.last[i].value(), padded.last[i].value()));
    }
  }
}

TEST(Gru, IsSoundStackedAtExtremesAndWithoutPositions) {
  test::expect_gradients(maker(kFeatures), kFeatures);
  test::expect_finite_at_extremes(maker(kHidden, kStack), kFeatures);
  test::expect_nothing_of_nothing(maker(kHidden, kStack), kFeatures);
}

TEST(Gru, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of([] { Gru(0, 3); }),
            "[Gru] needs features, hidden and layers above 0, got 0, 3 and 1");
  EXPECT_EQ(error_of([] { Gru(2, 3, {.layers = 0}); }),
            "[Gru] needs features, hidden and layers above 0, got 2, 3 and 0");
  Gru layer(2, 3, {.layers = 2});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const auto zeros = [](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat64));
  };
  const auto said = [&](const Variable& x, std::vector<Variable> start, Pass pass = {}) {
    return error_of([&] { layer.run(x, start, pass); });
  };
  EXPECT_EQ(error_of([&] { layer(zeros({2, 2})); }), "[Gru] needs [B, S, 2], got (2, 2)");
  EXPECT_EQ(said(zeros({1, 2, 3}), {}), "[Gru] needs [B, S, 2], got (1, 2, 3)");
  EXPECT_EQ(said(zeros({1, 2, 2}), {zeros({1, 3})}), "[Gru] needs 2 states to begin with, got 1");
  EXPECT_EQ(said(zeros({1, 2, 2}), {zeros({1, 3}), zeros({1, 2})}),
            "[gru] needs h (1, 3), got (1, 2)");
  KeyValueCache cache(1, 4);
  EXPECT_EQ(said(zeros({1, 2, 2}), {}, Pass::reading(cache)),
            "[Gru] has states, which a cache of keys and values does not hold; run() it from "
            "them in a pass of its own");
}

}  // namespace
}  // namespace maskgrad
