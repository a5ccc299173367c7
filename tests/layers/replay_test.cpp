// A recorded step of a model, run again on another batch.
#include <gmock/gmock.h>

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/ops/shape/segments.hpp>
#include <maskgrad/tensor/autograd/replay.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "layers/support.hpp"

namespace maskgrad {
namespace {

using test::make;
using test::same_bits;

constexpr std::int64_t kVocabulary = 7, kFeatures = 4;

class ReplayOfAModel : public ::testing::Test {
 protected:
  ReplayOfAModel() {
    model.add<Masking>("masking").add<Embed>("embed", kVocabulary, kFeatures);
    model.add<Reflect>("reflect", kFeatures);
    parameters = std::make_unique<ParameterBuffer>(model, DType::kFloat64, 1);
  }

  Variable run(const Tensor& tokens, const AttentionMask& pairs) {
    Pass pass;
    if (pairs.defined()) pass.set_pairs(pairs);
    return model(Variable(tokens), pass);
  }

  // What was recorded of the first batch, run again with the tokens and the mask of the second, is
  // what the second gives.
  void expect_follows(const Tensor& recorded, const Tensor& other, const AttentionMask& pairs) {
    Tape tape({.trace = true});
    const Variable y = run(recorded, pairs);
    const NoGrad no_grad;
    const Variable expected = run(other, pairs);
    const SequenceMask mask = SequenceMask::from_tokens(other, 0);
    const std::vector<Replacement> others = {
        {Variable(recorded), Variable(other, Variable::kConstant, mask)},
        {Variable(y.mask().bits()), Variable(mask.bits())}};
    const Variable again = replay(tape, others, std::vector{y})[0];
    EXPECT_TRUE(same_bits(again.value(), expected.value()));
    EXPECT_TRUE(again.mask() == mask);
    EXPECT_FALSE(is_identical(again.value(), y.value()));
  }

  Sequential model;
  std::unique_ptr<ParameterBuffer> parameters;
  const Tensor first = make({1, 2, 3, 0, 4, 0, 5, 6}, {2, 4}, DType::kInt64);
  // Kept where the first is padding, and the other way round.
  const Tensor second = make({0, 3, 2, 5, 6, 1, 0, 0}, {2, 4}, DType::kInt64);
};

TEST_F(ReplayOfAModel, AttendsToThePositionsOfAnotherBatch) { expect_follows(first, second, {}); }

TEST_F(ReplayOfAModel, AttendsToThePositionsOfALongerBatch) {
  expect_follows(first, make({0, 3, 2, 5, 6, 1, 0, 0, 4, 1, 2, 0, 0, 6, 0}, {3, 5}, DType::kInt64),
                 {});
}

TEST_F(ReplayOfAModel, AttendsToThePositionsOfAnotherBatchUnderPairsOfItsOwn) {
  expect_follows(first, second, AttentionMask::causal(4));
}

TEST(ReplayOfAnOperation, TakesOtherLengths) {
  Random random(1);
  const Variable x(test::uniform(random, {2, 3, 2}));
  const Variable lengths(make({1, 3}, {2}, DType::kInt32)), other(make({2, 0}, {2}, DType::kInt32));
  const auto run = [&](const Variable& given) {
    return ops::reverse_packed_segs(
        ops::sequence_mask(x, "sequence", given.value(), {.fill_value = -1}), given.value(), true);
  };
  Tape tape({.trace = true});
  const Variable y = run(lengths);
  const NoGrad no_grad;
  const std::vector<Replacement> others = {{lengths, other}};
  const Variable again = replay(tape, others, std::vector{y})[0];
  EXPECT_TRUE(same_bits(again.value(), run(other).value()));
  EXPECT_FALSE(is_identical(again.value(), y.value()));
}

// As the comment of Tape::to_string() shows it.
TEST(TheTextOfATape, NamesWhatEachOperationWasCalledWith) {
  const Variable weight = test::leaf(Tensor::zeros({7, 8}, DType::kFloat32));
  const Tensor tokens = make({1, 2, 3, 4, 0, 5, 6, 0, 0, 0}, {2, 5}, DType::kInt64);
  const SequenceMask mask = SequenceMask::from_tokens(tokens, 0);
  Tape tape({.trace = true});
  const Variable embedded = [&] {
    const Scope scope("embed");
    return ops::embedding(weight, Variable(tokens, Variable::kConstant, mask));
  }();
  ops::scale(embedded, 0.5);
  EXPECT_EQ(tape.to_string(std::vector<NamedLeaf>{{"w", weight}}),
            "$1 = embedding(tokens: int64 (2, 5), weight: w) -> float32 (2, 5, 8) "
            "masked in 'embed'\n"
            "$2 = scale(input: $1, factor: 0.5) -> float32 (2, 5, 8) masked\n");
}

}  // namespace
}  // namespace maskgrad
