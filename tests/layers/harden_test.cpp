// harden(): a model with learned gates becomes an ordinary one that skips what they close.
#include <gmock/gmock.h>

#include <maskgrad/layers/adaptive_attention/adaptive_span.hpp>
#include <maskgrad/layers/adaptive_attention/gated_attention.hpp>
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/gates/gate.hpp>
#include <maskgrad/layers/gates/prunable_feed_forward.hpp>
#include <maskgrad/layers/harden.hpp>
#include <maskgrad/layers/learned_mask/learned_mask.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/check/prove.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::to_doubles;
using ::testing::ElementsAre;

constexpr std::int64_t kFeatures = 4;

// A mask that is learned, heads and hidden features with gates, and a gate that reads its input.
class Harden : public ::testing::Test {
 protected:
  Harden() {
    model_
        .add<LearnedMask>("mask", kFeatures, make_sampler("straight-through"),
                          MaskNetworkOptions{.open = 0})
        .add<Sequential>("block")
        .add<Gate>("gate", kFeatures);
    auto& block = dynamic_cast<Sequential&>(model_.layer("block"));
    block
        .add<GatedAttention>("attention", kFeatures, 2,
                             GatedAttentionOptions{.head_gates = HeadGates::kHard})
        .add<PrunableFeedForward>("feed_forward", kFeatures, 3,
                                  PrunableFeedForwardOptions{.hard = true});
    before_.emplace(model_, DType::kFloat64, /*seed=*/4);
    set("block.attention.head_gates", {-1, 1});
    set("block.feed_forward.gates", {1, -1, 1});
  }

  void set(const char* name, const std::vector<double>& values) {
    before_->named_values().at(name).copy_from(test::make(values, {std::ssize(values)}));
  }

  static Variable input() {
    Random random(7);
    return Variable(test::uniform(random, {3, 8, kFeatures}));
  }

  Sequential model_;
  std::optional<ParameterBuffer> before_;
};

TEST_F(Harden, KeepsResultsAndSaysWhatItDropped) {
  const Variable y = model_(input());
  const HardenedModel hard = harden(model_);
  EXPECT_THAT(hard.changes, ElementsAre("mask: keeps the positions whose logit is above 0",
                                        "block.attention: keeps 1 of 2 heads",
                                        "block.feed_forward: keeps 2 of 3 hidden features"));
  ParameterBuffer after(model_, DType::kFloat64, 1);
  after.load(hard.values);
  EXPECT_LT(after.count(), before_->count());
  EXPECT_EQ(model_.layer("mask").kind(), "HardMask");
  EXPECT_EQ(model_.layer("gate").kind(), "Gate");
  for (const PackWhen when : {PackWhen::kNever, PackWhen::kAlways}) {
    model_.pack(when);
    const Variable again = model_(input());
    EXPECT_TRUE(again.mask() == y.mask());
    EXPECT_TRUE(
        is_close(ops::fill_masked(again).value(), to_doubles(ops::fill_masked(y).value()), 1e-12));
  }
}

TEST_F(Harden, GivesAModelOfWhichItIsProvedThatNothingDroppedReachesAResult) {
  const HardenedModel hard = harden(model_);
  ParameterBuffer after(model_, DType::kFloat64, 1);
  after.load(hard.values);
  const Variable x = input();
  const SequenceMask kept = model_.layer("mask")(x).mask();
  ASSERT_GT(kept.kept(), 0);
  ASSERT_LT(kept.kept(), 3 * 8);
  Tape tape({.trace = true});
  const Variable y = ops::fill_masked(model_(x));
  ops::sum(ops::multiply(y, y));
  const MaskProof proof = prove_mask(tape, after.leaves());
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_GT(proof.operations, 0);
}

TEST_F(Harden, ChangesNothingWhereALayerCannotBeHardened) {
  set("block.feed_forward.gates", {-1, -1, -1});
  EXPECT_EQ(error_of([&] { harden(model_); }),
            "[PrunableFeedForward] all 3 hidden features are closed");
  EXPECT_EQ(model_.layer("mask").kind(), "LearnedMask");
  EXPECT_TRUE(model_(input()).defined());
}

TEST(HardenOfAPlainModel, ChangesNothing) {
  Sequential model;
  model.add<Dense>("dense", 3, 2).add<Gate>("gate", 2);
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  const HardenedModel hard = harden(model);
  EXPECT_TRUE(hard.changes.empty());
  EXPECT_EQ(hard.values.size(), parameters.entries().size());
}

TEST(HardenOfSpans, RecordsNothing) {
  Sequential model;
  model.add<AdaptiveSpan>("spans", 4, 2, 3);
  const ParameterBuffer parameters(model, DType::kFloat64, 1);
  Tape tape;
  harden(model);
  EXPECT_TRUE(tape.nodes().empty());
}

// A block as a user writes one.
class Block : public Layer {
 public:
  Block()
      : Layer("Block", OfLayers{}),
        inner_(submodule("feed_forward", std::make_unique<PrunableFeedForward>(3, 2))) {}

 protected:
  Variable forward(const Variable& x, Pass& pass) override { return inner_(x, pass); }

 private:
  PrunableFeedForward& inner_;
};

TEST(HardenOfAPlainModel, NamesGatesWithinALayerThatItCannotReplace) {
  Sequential model;
  model.add<Block>("block").add<Gate>("gate", 3);
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  const HardenedModel hard = harden(model);
  EXPECT_TRUE(hard.changes.empty());
  EXPECT_THAT(hard.stays, ElementsAre("block.feed_forward"));
}

TEST(HardenOfAPlainModel, NeedsValues) {
  Sequential model;
  model.add<Dense>("dense", 3, 2);
  EXPECT_THAT(error_of([&] { harden(model); }), ::testing::HasSubstr("given a value"));
}

TEST(Sequential, ReplacesALayerByName) {
  Sequential model;
  model.add<Dense>("one", 3, 2).add<Dense>("two", 2, 2);
  const auto old = model.replace("one", std::make_unique<Dense>(5, 2));
  EXPECT_EQ(model.parameters().front().name, "one.weight");
  EXPECT_EQ(model.parameters().front().parameter->shape(), (Shape{5, 2}));
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  EXPECT_EQ(model(Variable(Tensor::zeros({1, 5}, DType::kFloat32))).shape(), (Shape{1, 2}));
  EXPECT_EQ(error_of([&] { model.replace("none", std::make_unique<Dense>(5, 2)); }),
            "[module] there is no part 'none' to replace");
  EXPECT_EQ(error_of([&] { model.replace("one", nullptr); }), "[module] 'one' is no module");
}

}  // namespace
}  // namespace maskgrad
