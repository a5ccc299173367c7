#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/layers/layer_norm.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/math/activation.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::gradients_agree;
using test::leaf;
using test::make;
using test::same_bits;
using test::uniform;
using ::testing::ElementsAre;

constexpr std::int64_t kFeatures = LayerSample::kFeatures;

std::unique_ptr<Layer> blocks_and_pool() {
  auto m = std::make_unique<Sequential>();
  m->add<Reflect>("one", kFeatures)
      .add<LayerNorm>("norm", kFeatures)
      .add<Reflect>("two", kFeatures)
      .add<GlobalPool>("pool")
      .add<Dense>("dense", kFeatures, 3);
  return m;
}
std::unique_ptr<Layer> one_within_another() {
  struct Block : Sequential {
    Block() { add<Dense>("in", kFeatures, 3).add<Reflect>("reflect", 3); }
  };
  auto m = std::make_unique<Sequential>();
  m->add<Block>("block").add<Dense>("out", 3, 2);
  return m;
}
std::unique_ptr<Layer> attention_and_reshape() {
  auto m = std::make_unique<Sequential>();
  m->add<Reflect>("one", kFeatures)
      .add<Reshape>("flat", std::vector<std::int64_t>{LayerSample::kLength * kFeatures});
  return m;
}
const bool kRegistered = register_layer({"SequentialOfBlocksAndAPool", blocks_and_pool}) &&
                         register_layer({"SequentialWithinAnother", one_within_another}) &&
                         register_layer({"SequentialOfAttentionAndReshape", attention_and_reshape,
                                         /*any_length=*/false});

// A small model of every layer: tokens [B, 4] -> [B, 6].
void build(Sequential& model, MaskAxis axis = MaskAxis::kKey) {
  model.add<Masking>("masking")
      .add<Embed>("embed", 6, 3)
      .add<Reflect>("reflect", 3, axis)
      .add<Reshape>("reshape", std::vector<std::int64_t>{12})
      .add<Dense>("hidden", 12, 5, ops::tanh)
      .add<Dense>("out", 5, 6);
}

Variable tokens() {
  return Variable(make({5, 1, 0, 0, 2, 3, 1, 0, 0, 0, 0, 0}, {3, 4}, DType::kInt64));
}

TEST(Sequential, AppliesItsLayersInOrder) {
  Random random(1);
  Sequential model;
  model.add<Dense>("a", 3, 4, ops::tanh).add<Dense>("b", 4, 2);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  // The same weights outside of it.
  Dense a(3, 4, ops::tanh), b(4, 2);
  ParameterBuffer of_a(a, DType::kFloat64, 0), of_b(b, DType::kFloat64, 0);
  const auto values = parameters.named_values();
  of_a.load({{"weight", values.at("a.weight")}, {"bias", values.at("a.bias")}});
  of_b.load({{"weight", values.at("b.weight")}, {"bias", values.at("b.bias")}});
  const Variable x(uniform(random, {2, 3}));
  EXPECT_TRUE(same_bits(model(x).value(), b(a(x)).value()));
}

TEST(Sequential, NamesParametersAfterItsLayers) {
  Sequential model;
  build(model);
  std::vector<std::string> names;
  for (const NamedParameter& named : model.parameters()) names.push_back(named.name);
  EXPECT_THAT(names, ElementsAre("embed.weight", "reflect.q", "reflect.k", "reflect.v",
                                 "hidden.weight", "hidden.bias", "out.weight", "out.bias"));
}

TEST(Sequential, WithoutLayersGivesItsInput) {
  const Variable x = tokens();
  EXPECT_TRUE(Sequential()(x).value().is_same_view(x.value()));
}

TEST(Sequential, RefusesTwoLayersOfOneName) {
  Sequential model;
  model.add<Dense>("a", 2, 2);
  EXPECT_EQ(error_of([&] { model.add<Dense>("a", 2, 3); }), "[module] the name 'a' is taken");
  const ParameterBuffer parameters(model, DType::kFloat32, 1);
  EXPECT_EQ(model(Variable(Tensor::zeros({1, 2}, DType::kFloat32))).shape(), (Shape{1, 2}));
}

TEST(Sequential, LetsMasksFollowAndMayStandInAnother) {
  Sequential model;
  auto inner = [](Sequential& m) { m.add<Masking>("masking").add<Embed>("embed", 6, 3); };
  struct Front : Sequential {
    explicit Front(const decltype(inner)& add) { add(*this); }
  };
  model.add<Front>("front", inner).add<Reflect>("reflect", 3);
  const ParameterBuffer parameters(model, DType::kFloat32, 1);
  EXPECT_EQ(model.parameters()[0].name, "front.embed.weight");
  EXPECT_EQ(model(tokens()).mask().kept(), 5);
}

TEST(Sequential, HasTheGradientsOfAWholeModel) {
  for (const MaskAxis axis : {MaskAxis::kKey, MaskAxis::kQuery, MaskAxis::kNone}) {
    Sequential model;
    build(model, axis);
    const ParameterBuffer parameters(model, DType::kFloat64, 1);
    EXPECT_TRUE(gradients_agree([&] { return model(tokens()); }, parameters.leaves()))
        << to_string(axis);
  }
}

TEST(Sequential, SummarizesWhatEachLayerMadeOfTheInput) {
  Sequential model;
  build(model);
  const ParameterBuffer parameters(model, DType::kFloat32, 1);
  const LayerSummary expected[] = {
      {"masking", "Masking", {3, 4}, 0, MaskRule::kMakes},
      {"embed", "Embed", {3, 4, 3}, 6 * 3, MaskRule::kKeeps},
      {"reflect", "Reflect", {3, 4, 3}, 3 * 3 * 3, MaskRule::kUses},
      {"reshape", "Reshape", {3, 12}, 0, MaskRule::kEnds},
      {"hidden", "Dense", {3, 5}, 12 * 5 + 5, MaskRule::kKeeps},
      {"out", "Dense", {3, 6}, 5 * 6 + 6, MaskRule::kKeeps},
  };
  const std::vector<LayerSummary> rows = model.summarize(tokens());
  ASSERT_EQ(rows.size(), std::size(expected));
  std::int64_t total = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].name, expected[i].name);
    EXPECT_EQ(rows[i].kind, expected[i].kind);
    EXPECT_EQ(rows[i].output, expected[i].output);
    EXPECT_EQ(rows[i].parameters, expected[i].parameters);
    EXPECT_EQ(rows[i].mask_rule, expected[i].mask_rule);
    total += rows[i].parameters;
  }
  EXPECT_EQ(total, parameters.count());
}

TEST(Sequential, SummarizesWithoutRecording) {
  Sequential model;
  build(model);
  const ParameterBuffer parameters(model, DType::kFloat32, 1);
  const Tape tape;
  model.summarize(tokens());
  EXPECT_TRUE(tape.nodes().empty());
  model(tokens());
  EXPECT_FALSE(tape.nodes().empty());
}

TEST(Sequential, FindsALayerByItsName) {
  Sequential model;
  model.add<Dense>("first", 2, 3).add<Dense>("second", 3, 4);
  EXPECT_EQ(model.layer("second").name(), "second");
  EXPECT_EQ(test::error_of([&] { model.layer("third"); }), "[Sequential] has no layer 'third'");
}

}  // namespace
}  // namespace maskgrad
