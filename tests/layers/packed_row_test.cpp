// Models that run on the packed row of a batch do what they do on the batch.
#include <memory>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
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
  Variable forward(const Variable& x, Pass&) override {
    seen_.push_back(x.shape());
    return x;
  }
  std::vector<Shape>& seen_;
};

// Each position and the mean of its sequence; says nothing about rows.
struct Padded : Layer {
  Padded() : Layer("Padded", MaskRule::kUses) {}
  Variable forward(const Variable& x, Pass&) override {
    const Variable all = ops::masked_mean(x, 1, true);
    return ops::with_mask(ops::add(ops::fill_masked(x), all), x.mask());
  }
};

std::unique_ptr<Layer> one_between_that_cannot() {
  auto m = std::make_unique<Sequential>();
  m->add<Reflect>("one", kFeatures).add<Padded>("x").add<Reflect>("two", kFeatures);
  return m;
}

// Loss and gradients of a model that packs, or does not, in float32.
std::vector<double> pass(const LayerSample& sample, PackWhen when) {
  struct Model : Sequential {
    explicit Model(const LayerSample& which) {
      add<Masking>("masking").add<Embed>("embed", kVocabulary, kFeatures);
      layer = &submodule("layer", which.make());
    }
    Layer* layer;
  };
  Model model(sample);
  model.pack(when);
  if (auto* inner = dynamic_cast<Sequential*>(model.layer)) inner->pack(when);
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  Tape tape;
  const Variable y = ops::fill_masked((*model.layer)(model(padded_tokens())));
  const Variable loss = ops::sum(ops::multiply(y, y));
  tape.backward(loss);
  std::vector<double> all = test::to_doubles(parameters.gradients());
  all.push_back(test::to_doubles(loss.value())[0]);
  return all;
}

class PackedModel : public ::testing::TestWithParam<LayerSample> {};
INSTANTIATE_TEST_SUITE_P(Layers, PackedModel, ::testing::ValuesIn(layer_samples()),
                         [](const auto& one) { return one.param.name; });

// check_layer() does this in float64.
TEST_P(PackedModel, GivesLossAndGradientsOfThePaddedBatchInFloat32) {
  const std::vector<double> padded = pass(GetParam(), PackWhen::kNever);
  const std::vector<double> packed = pass(GetParam(), PackWhen::kAlways);
  const auto size = static_cast<std::int64_t>(padded.size());
  EXPECT_TRUE(test::is_close(make(packed, {size}), padded, 1e-5));
  EXPECT_NE(padded.back(), 0);
}

TEST(PackedRow, IsLeftForALayerThatCannotRunOnOne) {
  const LayerSample sample = {"OneBetweenThatCannot", one_between_that_cannot};
  const std::vector<double> padded = pass(sample, PackWhen::kNever);
  EXPECT_TRUE(test::is_close(
      make(pass(sample, PackWhen::kAlways), {static_cast<std::int64_t>(padded.size())}), padded,
      1e-5));
  EXPECT_THAT(check_layer(sample), ::testing::IsEmpty());
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
  const test::PassResults clean = test::run_pass(model, parameters, test::leaf(x.clone(), mask), g);
  EXPECT_TRUE(clean.output.mask() == mask);
  for (const double poison : mask_poisons()) {
    Tensor bad = x.clone(), bad_gradient = g.clone();
    fill_holes(bad, mask, poison);
    fill_holes(bad_gradient, mask, poison);
    const test::PassResults poisoned =
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
