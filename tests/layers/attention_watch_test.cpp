// What layers attend to, seen by an AttentionWatch, against plain loops over their matrices.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/nn/attention_watch.hpp>

#include "layers/matrix.hpp"
#include "layers/support.hpp"

namespace maskgrad {
namespace {

using ops::AttentionWatch;
using ops::SeenAttention;
using test::mask_of;
using test::Matrix;

constexpr std::int64_t kFeatures = 8, kHeads = 4, kLength = 5;
constexpr std::size_t kHead = kFeatures / kHeads;

struct Model {
  explicit Model(Layer& layer) : parameters(layer, DType::kFloat64, 1) {
    Random random(2);
    for (const auto& [name, view] : parameters.named_values()) {
      Tensor target = view;
      target.copy_from(test::uniform(random, view.shape(), -1, 1));
    }
  }
  Matrix projected(const Tensor& x, const std::string& name) const {
    const auto values = parameters.named_values();
    const Matrix y = test::product(test::matrix_of(x), test::matrix_of(values.at(name)));
    const auto bias = values.find(name + "_bias");
    return bias == values.end() ? y : test::shifted(y, test::to_doubles(bias->second));
  }

  ParameterBuffer parameters;
};

using Keeps = std::function<bool(std::size_t, std::size_t)>;

// What attention gives of values that are the unit matrix: the weights themselves.
std::vector<double> weights_by_loops(const Matrix& q, const Matrix& k, const Keeps& keeps) {
  Matrix unit(k.size(), std::vector<double>(k.size()));
  for (std::size_t i = 0; i < k.size(); ++i) unit[i][i] = 1;
  std::vector<double> flat;
  for (const auto& row : test::attend(q, k, unit, keeps)) {
    flat.insert(flat.end(), row.begin(), row.end());
  }
  return flat;
}

void expect_heads(const SeenAttention& seen, const Matrix& q, const Matrix& k,
                  std::int64_t key_heads, const Keeps& keeps) {
  ASSERT_EQ(seen.weights.shape(), (Shape{1, kHeads, std::ssize(q), std::ssize(k)}));
  for (std::int64_t h = 0; h < kHeads; ++h) {
    const auto query_head = static_cast<std::size_t>(h),
               key_head = static_cast<std::size_t>(h / (kHeads / key_heads));
    EXPECT_TRUE(
        test::is_close(seen.weights[0][h],
                       weights_by_loops(test::columns(q, query_head * kHead, kHead),
                                        test::columns(k, key_head * kHead, kHead), keeps),
                       1e-13));
  }
}

// Turns each pair of a head by its place among those that exist.
Matrix rotated(Matrix x, const std::vector<double>& places) {
  for (std::size_t s = 0; s < x.size(); ++s) {
    for (std::size_t j = 0; j + 1 < x[s].size(); j += 2) {
      const double angle = places[s] * std::pow(10000.0, -static_cast<double>(j % kHead) / kHead);
      const double a = x[s][j], b = x[s][j + 1];
      x[s][j] = a * std::cos(angle) - b * std::sin(angle);
      x[s][j + 1] = a * std::sin(angle) + b * std::cos(angle);
    }
  }
  return x;
}

const std::vector<double> kKept = {0, 1, 1, 0, 1}, kPlaces = {0, 0, 1, 0, 2};

TEST(AttentionWatch, SeesEachHeadOfGroupedAndRotatedQueries) {
  Random random(3);
  const Tensor x = test::uniform(random, {1, kLength, kFeatures});
  const Variable masked(x, Variable::kConstant, mask_of(kKept, {1, kLength}));
  for (const std::int64_t key_heads : {1, 2, 4}) {
    for (const bool is_rotated : {false, true}) {
      MultiHeadAttentionOptions options = {.key_heads = key_heads, .kind = AttentionKind::kCausal};
      if (is_rotated) options.rotary = ops::RotaryOptions();
      MultiHeadAttention layer(kFeatures, kHeads, options);
      const Model model(layer);
      AttentionWatch watch;
      layer(masked);
      Matrix q = model.projected(x[0], "q"), k = model.projected(x[0], "k");
      if (is_rotated) q = rotated(q, kPlaces), k = rotated(k, kPlaces);
      ASSERT_EQ(watch.seen().size(), 1U);
      const SeenAttention& seen = watch.seen().front();
      expect_heads(seen, q, k, key_heads, [](std::size_t s, std::size_t t) {
        return t <= s && kKept[s] != 0 && kKept[t] != 0;
      });
      EXPECT_EQ(seen.kept_pairs(), kHeads * (1 + 2 + 3));
      EXPECT_EQ(seen.key_heads, key_heads);
      EXPECT_EQ(seen.queries, masked.mask());
    }
  }
}

TEST(AttentionWatch, SeesAttentionToAnotherSequence) {
  Random random(4);
  const Tensor x = test::uniform(random, {1, 3, kFeatures}),
               memory = test::uniform(random, {1, kLength, kFeatures});
  MultiHeadAttention layer(kFeatures, kHeads);
  const Model model(layer);
  AttentionWatch watch;
  Pass pass;
  layer.attend(Variable(x),
               Variable(memory, Variable::kConstant, mask_of(kKept, {1, kLength})), pass);
  ASSERT_EQ(watch.seen().size(), 1U);
  expect_heads(watch.seen().front(), model.projected(x[0], "q"), model.projected(memory[0], "k"),
               kHeads, [](std::size_t, std::size_t t) { return kKept[t] != 0; });
}

TEST(AttentionWatch, ShowsThatABiasOnWholeRowsLeavesTheWeightsOfReflectAsTheyWere) {
  Random random(5);
  const Tensor x = test::uniform(random, {1, kLength, kFeatures});
  const Variable masked(x, Variable::kConstant, mask_of(kKept, {1, kLength}));
  std::vector<Tensor> weights;
  for (const MaskAxis axis : {MaskAxis::kKey, MaskAxis::kQuery, MaskAxis::kNone}) {
    Reflect layer(kFeatures, axis);
    const Model model(layer);
    AttentionWatch watch;
    layer(masked);
    ASSERT_EQ(watch.seen().size(), 1U);
    const SeenAttention& seen = watch.seen().front();
    const bool uses_mask = axis == MaskAxis::kKey;
    EXPECT_TRUE(test::is_close(
        seen.weights[0][0],
        weights_by_loops(model.projected(x[0], "q"), model.projected(x[0], "k"),
                         [&](std::size_t s, std::size_t t) {
                           return !uses_mask || (kKept[s] != 0 && kKept[t] != 0);
                         }),
        axis == MaskAxis::kQuery ? 1e-6 : 1e-13));  // -1e9 takes digits of the scores
    EXPECT_EQ(seen.kept_pairs(), uses_mask ? 9 : kLength * kLength);
    EXPECT_EQ(seen.bias_effect.has_value(), axis == MaskAxis::kQuery);
    EXPECT_LT(seen.bias_effect.value_or(0), 1e-6);
    weights.push_back(seen.weights);
  }
  // The rows of positions that exist get no bias: query and none agree there, to the bit.
  for (const std::int64_t s : {1, 2, 4}) {
    EXPECT_TRUE(test::same_bits(weights[1][0][0][s], weights[2][0][0][s]));
  }
}

TEST(AttentionWatch, NamesTheLayersOfAModelInOrder) {
  const TransformerOptions options = {.features = kFeatures, .heads = kHeads, .layers = 2};
  Sequential model;
  model.add<Masking>("masking").add<Embed>("embed", 7, kFeatures);
  model.add<Decoder>("decoder", options).add<Encoder>("encoder", options);
  const ParameterBuffer parameters(model, DType::kFloat32, 0);
  AttentionWatch watch;
  model(Variable(Tensor::from<std::int64_t>({1, 2, 0, 3, 0, 0}, {2, 3})));
  std::vector<std::string> layers;
  for (const SeenAttention& seen : watch.seen()) layers.push_back(seen.layer);
  EXPECT_THAT(layers, ::testing::ElementsAre("decoder.block0.attention", "decoder.block1.attention",
                                             "encoder.block0.attention",
                                             "encoder.block1.attention"));
  EXPECT_EQ(watch.seen()[0].pairs.recipe(), "existing & causal");
  EXPECT_EQ(watch.seen()[2].pairs.recipe(), "existing");
}

TEST(AttentionWatch, SeesAPackedRowWithoutChangingABit) {
  const auto run = [](bool watched) {
    Sequential model;
    model.add<Masking>("masking").add<Embed>("embed", 7, kFeatures);
    model.add<Encoder>("encoder", TransformerOptions{.features = kFeatures, .heads = 2});
    model.pack(PackWhen::kAlways);
    ParameterBuffer parameters(model, DType::kFloat32, 0);
    std::optional<AttentionWatch> watch;
    if (watched) watch.emplace();
    Tape tape;
    Pass pass = Pass::training(1, 2);
    const Variable y =
        model(Variable(Tensor::from<std::int64_t>({1, 2, 0, 3, 0, 0}, {2, 3})), pass);
    tape.backward(y, Tensor::full(y.shape(), 1, DType::kFloat32));
    if (watch) {
      EXPECT_EQ(watch->seen().at(0).weights.shape(), (Shape{1, 2, 3, 3}));
      EXPECT_EQ(watch->seen().at(0).kept_pairs(), 2 * (4 + 1));
    }
    return std::pair(y.value(), parameters.gradients().clone());
  };
  const auto without = run(false), with = run(true);
  EXPECT_TRUE(test::same_bits(with.first, without.first));
  EXPECT_TRUE(test::same_bits(with.second, without.second));
}

}  // namespace
}  // namespace maskgrad
