// Models that run on the packed row of a batch do what they do on the batch.
#include <functional>
#include <memory>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/layers/layer_norm.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/padding.hpp>
#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "layers/padded_tokens.hpp"
#include "layers/support.hpp"

namespace maskgrad {
namespace {

using test::kLength;
using test::kVocabulary;
using test::make;
using test::mask_of;
using test::padded_tokens;
using ::testing::ElementsAre;

constexpr std::int64_t kFeatures = 5;

// Notes what comes: positions on a row, or of a batch.
struct Probe : Layer {
  explicit Probe(std::vector<Shape>& seen) : Layer("Probe", MaskRule::kKeeps), seen_(seen) {}
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }
  Variable forward(const Variable& x) override {
    seen_.push_back(x.shape());
    return x;
  }
  std::vector<Shape>& seen_;
};

// Each position and the mean of its sequence; says nothing about rows.
struct Padded : Layer {
  Padded() : Layer("Padded", MaskRule::kUses) {}
  Variable forward(const Variable& x) override {
    const Variable all = ops::masked_mean(x, 1, true);
    return ops::with_mask(ops::add(ops::fill_masked(x), all), x.mask());
  }
};

struct Case {
  const char* name;
  std::function<void(Sequential&)> add;  // layers from [B, S, 5] to anything
  bool any_length = true;
};

std::vector<Case> cases() {
  return {{"Dense", [](Sequential& m) { m.add<Dense>("x", kFeatures, 3, ops::relu); }},
          {"LayerNorm", [](Sequential& m) { m.add<LayerNorm>("x", kFeatures); }},
          {"Reflect", [](Sequential& m) { m.add<Reflect>("x", kFeatures); }},
          {"ReflectAndReshape",
           [](Sequential& m) {
             m.add<Reflect>("one", kFeatures)
                 .add<Reshape>("reshape", std::vector<std::int64_t>{kLength * kFeatures});
           },
           false},
          {"ReflectTwiceAndPool",
           [](Sequential& m) {
             m.add<Reflect>("one", kFeatures)
                 .add<LayerNorm>("norm", kFeatures)
                 .add<Reflect>("two", kFeatures)
                 .add<GlobalPool>("pool");
           }},
          {"ALayerBetweenThatCannot",
           [](Sequential& m) {
             m.add<Reflect>("one", kFeatures).add<Padded>("x").add<Reflect>("two", kFeatures);
           }},
          {"ReflectWithinAnother", [](Sequential& m) {
             struct Block : Sequential {
               Block() { add<Dense>("in", kFeatures, 3).add<Reflect>("reflect", 3); }
             };
             m.add<Block>("block").add<Dense>("out", 3, 2);
           }}};
}

struct Model {
  Model(const Case& which, DType dtype, PackWhen when) {
    layers.add<Masking>("masking").add<Embed>("embed", kVocabulary, kFeatures);
    which.add(layers);
    layers.pack(when);
    parameters = std::make_unique<ParameterBuffer>(layers, dtype, 1);
  }

  // The sum of the squares of what it gives, over the places that exist.
  Variable loss(std::int64_t extra = 0) {
    const Variable y = ops::fill_masked(layers(padded_tokens(extra)));
    return ops::sum(ops::multiply(y, y));
  }

  // Every gradient, and the loss.
  std::vector<double> pass() {
    Tape tape;
    const Variable sum = loss();
    tape.backward(sum);
    std::vector<double> all = test::to_doubles(parameters->gradients());
    all.push_back(test::to_doubles(sum.value())[0]);
    return all;
  }

  Sequential layers;
  std::unique_ptr<ParameterBuffer> parameters;
};

class PackedModel : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Layers, PackedModel, ::testing::ValuesIn(cases()),
                         [](const auto& one) { return one.param.name; });

TEST_P(PackedModel, GivesLossAndGradientsOfThePaddedBatch) {
  for (const auto& [dtype, tolerance] :
       {std::pair{DType::kFloat64, 1e-12}, std::pair{DType::kFloat32, 1e-5}}) {
    const std::vector<double> padded = Model(GetParam(), dtype, PackWhen::kNever).pass();
    const std::vector<double> packed = Model(GetParam(), dtype, PackWhen::kAlways).pass();
    const auto size = static_cast<std::int64_t>(padded.size());
    EXPECT_TRUE(test::is_close(make(packed, {size}), padded, tolerance));
    EXPECT_NE(padded.back(), 0);
  }
}

TEST_P(PackedModel, LetsNothingMaskedReachAResult) {
  Model model(GetParam(), DType::kFloat64, PackWhen::kAlways);
  const LeakReport report =
      check_mask_leaks([&] { return model.loss(); }, model.parameters->leaves());
  EXPECT_TRUE(report.holds()) << to_string(report);
  EXPECT_GT(report.masked_places, 0);
}

TEST_P(PackedModel, CanBeProved) {
  Model model(GetParam(), DType::kFloat64, PackWhen::kAlways);
  Tape tape({.trace = true});
  model.loss();
  const MaskProof proof = prove_mask(tape);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
}

TEST_P(PackedModel, HasTheGradientsThatDifferencesGive) {
  Model model(GetParam(), DType::kFloat64, PackWhen::kAlways);
  EXPECT_TRUE(test::gradients_agree([&] { return model.loss(); }, model.parameters->leaves()));
}

TEST_P(PackedModel, IsNotChangedByMorePadding) {
  if (!GetParam().any_length) GTEST_SKIP() << "for one length only";
  Model model(GetParam(), DType::kFloat64, PackWhen::kAlways);
  const PaddingReport report = check_padding([&](std::int64_t extra) { return model.loss(extra); },
                                             model.parameters->leaves());
  EXPECT_TRUE(report.holds()) << to_string(report);
}

TEST(PackedRow, ReadsNoPoisonAtPaddingForwardOrBackward) {
  Random random(1);
  const SequenceMask mask = mask_of({1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0}, {3, 4});
  const Tensor x = test::uniform(random, {3, 4, kFeatures});
  const Tensor g = test::uniform(random, {3, 4, kFeatures});
  Sequential model;
  model.add<Reflect>("reflect", kFeatures).add<Dense>("dense", kFeatures, kFeatures);
  model.pack(PackWhen::kAlways);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const test::Pass clean = test::run_pass(model, parameters, test::leaf(x.clone(), mask), g);
  EXPECT_TRUE(clean.output.mask() == mask);
  for (const double poison : mask_poisons()) {
    Tensor bad = x.clone(), bad_gradient = g.clone();
    fill_holes(bad, mask, poison);
    fill_holes(bad_gradient, mask, poison);
    const test::Pass poisoned =
        test::run_pass(model, parameters, test::leaf(bad, mask), bad_gradient);
    EXPECT_TRUE(test::same_bits(clean.output.value(), poisoned.output.value())) << poison;
    EXPECT_TRUE(test::same_bits(clean.gradients, poisoned.gradients)) << poison;
    EXPECT_TRUE(test::same_bits(clean.input_grad, poisoned.input_grad)) << poison;
  }
}

TEST(PackedRow, HoldsWhatExistsAndNoMore) {
  for (const bool packs : {false, true}) {
    std::vector<Shape> seen;
    Sequential model;
    model.add<Masking>("masking")
        .add<Probe>("tokens", seen)
        .add<Embed>("embed", kVocabulary, kFeatures)
        .add<Probe>("vectors", seen)
        .add<Padded>("padded")
        .add<Probe>("behind", seen);
    model.pack(packs ? PackWhen::kAlways : PackWhen::kNever);
    const ParameterBuffer parameters(model, DType::kFloat32, 1);
    EXPECT_EQ(model(padded_tokens()).shape(), (Shape{3, 4, 5}));
    if (packs) {
      EXPECT_THAT(seen, ElementsAre(Shape{1, 6}, Shape{1, 6, 5}, Shape{1, 6, 5}));
    } else {
      EXPECT_THAT(seen, ElementsAre(Shape{3, 4}, Shape{3, 4, 5}, Shape{3, 4, 5}));
    }
  }
}

TEST(PackedRow, IsNotMadeOfAValueWithoutAMask) {
  std::vector<Shape> seen;
  Sequential model;
  model.add<Probe>("probe", seen).pack(PackWhen::kAlways);
  model(padded_tokens());
  EXPECT_THAT(seen, ElementsAre(Shape{3, 4}));
  EXPECT_TRUE(model.explain_packing(padded_tokens()).empty());
}

// An attention layer and a probe, from samples of these lengths.
std::vector<Shape> run_auto(const std::vector<std::int64_t>& lengths, std::int64_t longest,
                            std::string& why) {
  std::vector<Shape> seen;
  Sequential model;
  model.add<Reflect>("reflect", kFeatures).add<Probe>("probe", seen).pack(PackWhen::kAuto);
  const ParameterBuffer parameters(model, DType::kFloat32, 1);
  const auto batch = static_cast<std::int64_t>(lengths.size());
  const Variable x(Tensor::full({batch, longest, kFeatures}, 1, DType::kFloat32),
                   Variable::kConstant, SequenceMask::from_lengths(lengths, longest));
  const std::vector<PackingSummary> summaries = model.explain_packing(x);
  seen.clear();
  model(x);
  EXPECT_EQ(summaries.size(), 1U);
  why = to_string(summaries.at(0));
  return seen;
}

TEST(PackedRow, IsMadeOnlyWherePlanPackingSaysSo) {
  std::string why;
  std::vector<std::int64_t> short_but_one(20, 1);
  short_but_one.push_back(64);
  EXPECT_THAT(run_auto(std::vector<std::int64_t>(50, 13), 20, why),
              ElementsAre(Shape{50, 20, kFeatures}));
  EXPECT_THAT(why, ::testing::StartsWith("reflect to probe pads: 1000 positions and 10400 pairs"));
  EXPECT_THAT(run_auto(short_but_one, 64, why), ElementsAre(Shape{1, 84, kFeatures}));
  EXPECT_THAT(why, ::testing::StartsWith("reflect to probe packs: 84 positions and 5568 pairs"));
}

}  // namespace
}  // namespace maskgrad
