// What every layer promises under a mask: nothing that is masked reaches a result, and padding
// further changes nothing.
#include <functional>
#include <memory>

#include <gtest/gtest.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/global_pool.hpp>
#include <maskgrad/layers/layer_norm.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/loss.hpp>
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
using test::padded_tokens;

constexpr std::int64_t kFeatures = 5;

struct Case {
  const char* name;
  std::function<void(Sequential&)> add;  // a layer from [B, S, 5] to anything
  bool any_length = true;
};

std::vector<Case> cases() {
  return {
      {"Dense", [](Sequential& m) { m.add<Dense>("x", kFeatures, 3, ops::relu); }},
      {"Reflect", [](Sequential& m) { m.add<Reflect>("x", kFeatures); }},
      {"LayerNorm", [](Sequential& m) { m.add<LayerNorm>("x", kFeatures); }},
      {"MeanPool", [](Sequential& m) { m.add<GlobalPool>("x"); }},
      {"MaxPool", [](Sequential& m) { m.add<GlobalPool>("x", Pooling::kMax); }},
      {"Reshape",
       [](Sequential& m) { m.add<Reshape>("x", std::vector<std::int64_t>{kLength * kFeatures}); },
       false},
      {"ReflectTwiceAndPool", [](Sequential& m) {
         m.add<Reflect>("one", kFeatures)
             .add<LayerNorm>("norm", kFeatures)
             .add<Reflect>("two", kFeatures)
             .add<GlobalPool>("pool")
             .add<Dense>("dense", kFeatures, 3);
       }}};
}

class MaskPromise : public ::testing::TestWithParam<Case> {
 protected:
  MaskPromise() {
    model_.add<Masking>("masking").add<Embed>("embed", kVocabulary, kFeatures);
    GetParam().add(model_);
    parameters_ = std::make_unique<ParameterBuffer>(model_, DType::kFloat64, 1);
  }

  // The sum of the squares of what the model gives, over the places that exist.
  Variable loss(std::int64_t extra = 0) {
    const Variable y = ops::fill_masked(model_(padded_tokens(extra)));
    return ops::sum(ops::multiply(y, y));
  }

  Sequential model_;
  std::unique_ptr<ParameterBuffer> parameters_;
};
INSTANTIATE_TEST_SUITE_P(Layers, MaskPromise, ::testing::ValuesIn(cases()),
                         [](const auto& one) { return one.param.name; });

TEST_P(MaskPromise, LetsNothingMaskedReachAResult) {
  const LeakReport report = check_mask_leaks([&] { return loss(); }, parameters_->leaves());
  EXPECT_TRUE(report.holds()) << to_string(report);
  EXPECT_GT(report.masked_places, 0);
}

TEST_P(MaskPromise, CanBeProved) {
  Tape tape({.trace = true});
  loss();
  const MaskProof proof = prove_mask(tape);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
}

TEST_P(MaskPromise, HasTheGradientsThatDifferencesGive) {
  EXPECT_TRUE(test::gradients_agree([&] { return loss(); }, parameters_->leaves()));
}

TEST_P(MaskPromise, IsNotChangedByMorePadding) {
  if (!GetParam().any_length) GTEST_SKIP() << "for one length only";
  const PaddingReport report =
      check_padding([&](std::int64_t extra) { return loss(extra); }, parameters_->leaves());
  EXPECT_TRUE(report.holds()) << to_string(report);
  EXPECT_GT(report.operations, 2);
}

// Among them those that say they use the mask. A value without one is a value all of which exists.
TEST_P(MaskPromise, HoldsForValuesWithoutAMask) {
  Random random(4);
  const Tensor values = test::uniform(random, {3, kLength, kFeatures});
  Sequential layers;
  GetParam().add(layers);
  const ParameterBuffer parameters(layers, DType::kFloat64, 1);
  const auto run = [&](const SequenceMask& mask) {
    return layers(Variable(values, Variable::kConstant, mask));
  };
  const Variable without = run({});
  const Variable with = run(SequenceMask(Tensor::full({3, kLength}, 1, DType::kBool)));
  EXPECT_FALSE(without.mask().defined());
  EXPECT_TRUE(test::same_bits(without.value(), with.value()));
}

TEST(MaskPromises, HoldForALossOverPositions) {
  Sequential model;
  model.add<Masking>("masking")
      .add<Embed>("embed", kVocabulary, kFeatures)
      .add<Reflect>("reflect", kFeatures)
      .add<Dense>("dense", kFeatures, kVocabulary);
  const ParameterBuffer parameters(model, DType::kFloat64, 1);
  const auto loss = [&](std::int64_t extra) {
    return ops::cross_entropy(model(padded_tokens(extra)), padded_tokens(extra).value()).mean();
  };
  const LeakReport leaks = check_mask_leaks([&] { return loss(0); }, parameters.leaves());
  EXPECT_TRUE(leaks.holds()) << to_string(leaks);
  const PaddingReport padding = check_padding(loss, parameters.leaves());
  EXPECT_TRUE(padding.holds()) << to_string(padding);
  EXPECT_EQ(ops::accuracy(model(padded_tokens(0)), padded_tokens(0).value()).count, 6);
  EXPECT_EQ(ops::accuracy(model(padded_tokens(3)), padded_tokens(3).value()).hits,
            ops::accuracy(model(padded_tokens(0)), padded_tokens(0).value()).hits);
}

TEST(MaskPromises, HoldForWhatStandsInPaddedTokens) {
  // The mask says what is padding; which ids stand there is nobody's business.
  Sequential model;
  model.add<Embed>("embed", kVocabulary, kFeatures)
      .add<Reflect>("reflect", kFeatures)
      .add<Reshape>("reshape", std::vector<std::int64_t>{kLength * kFeatures})
      .add<Dense>("dense", kLength * kFeatures, 3);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const SequenceMask mask = SequenceMask::from_tokens(padded_tokens().value(), 0);
  const Tensor g = Tensor::full({3, 3}, 1.0, DType::kFloat64);
  const auto pass = [&](std::int64_t pad) {
    Tensor ids = padded_tokens().value().clone();
    fill_holes(ids, mask, static_cast<double>(pad));
    return test::run_pass(model, parameters, Variable(ids, Variable::kConstant, mask), g);
  };
  const test::Pass clean = pass(0);
  for (const std::int64_t pad : {1, 6, -1, 1000}) {
    EXPECT_TRUE(test::same_bits(pass(pad).output.value(), clean.output.value()));
    EXPECT_TRUE(test::same_bits(pass(pad).gradients, clean.gradients));
  }
}

TEST(MaskPromises, HoldForALargeBatchTakenInParts) {
  Sequential model;
  model.add<Masking>("masking")
      .add<Embed>("embed", kVocabulary, kFeatures)
      .add<Reflect>("reflect", kFeatures)
      .add<Dense>("dense", kFeatures, kVocabulary);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const auto loss = [&](std::int64_t first, std::int64_t count) {
    const Tensor part = padded_tokens().value().view(first * kLength, {count, kLength});
    return ops::cross_entropy(model(Variable(part)), part);
  };
  constexpr double kPositions = 6;  // of the three samples together: 3, 3 and none
  const auto gradients = [&](const std::vector<std::pair<std::int64_t, std::int64_t>>& parts) {
    parameters.clear_gradients();
    std::int64_t count = 0;
    for (const auto& [first, size] : parts) {
      Tape tape;
      const ops::SumCount part = loss(first, size);
      count += part.count;
      tape.backward(part.sum, 1 / kPositions);
    }
    EXPECT_EQ(count, kPositions);
    return test::to_doubles(parameters.gradients());
  };
  const std::vector<double> whole = gradients({{0, 3}});
  const std::vector<double> in_parts = gradients({{0, 1}, {1, 1}, {2, 1}});
  const auto size = static_cast<std::int64_t>(whole.size());
  EXPECT_TRUE(test::is_close(test::make(in_parts, {size}), whole, 1e-15));
}

}  // namespace
}  // namespace maskgrad
