#include <gmock/gmock.h>

#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kNaN;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

Tensor table(DType dtype = DType::kFloat64) {
  return make({0, 1, 10, 11, 20, 21, 30, 31}, {4, 2}, dtype);
}

TEST(Embedding, TakesTheRowOfEachToken) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const DType ids : {DType::kInt32, DType::kInt64}) {
      const Tensor y =
          ops::embedding(Variable(table(dtype)), Variable(make({3, 0, 3}, {1, 3}, ids))).value();
      EXPECT_EQ(y.shape(), (Shape{1, 3, 2}));
      EXPECT_EQ(y.dtype(), dtype);
      EXPECT_THAT(to_doubles(y), ElementsAre(30, 31, 0, 1, 30, 31));
    }
  }
}

TEST(Embedding, AddsTheGradientsOfATokenThatIsRepeated) {
  const Variable weight = leaf(table());
  Tape tape;
  const Variable y = ops::embedding(weight, Variable(make({3, 0, 3}, {3}, DType::kInt64)));
  tape.backward(y, make({1, 2, 3, 4, 5, 6}, {3, 2}));
  EXPECT_THAT(to_doubles(weight.grad()), ElementsAre(3, 4, 0, 0, 0, 0, 6, 8));
}

TEST(Embedding, TakesASingleTokenNoneAndNoFeatures) {
  EXPECT_EQ(ops::embedding(Variable(table()), Variable(make({2}, {}, DType::kInt64))).shape(),
            (Shape{2}));
  const Variable weight = leaf(table());
  Tape tape;
  const Variable y = ops::embedding(weight, Variable(Tensor::empty({2, 0}, DType::kInt32)));
  EXPECT_EQ(y.shape(), (Shape{2, 0, 2}));
  EXPECT_EQ(ops::embedding(Variable(Tensor::empty({4, 0}, DType::kFloat32)),
                           Variable(make({2}, {1}, DType::kInt64)))
                .shape(),
            (Shape{1, 0}));
  tape.backward(y, Tensor::empty({2, 0, 2}, DType::kFloat64));
  EXPECT_TRUE(test::same_bits(weight.grad(), Tensor::zeros({4, 2}, DType::kFloat64)));
}

// The positions of the mask are rows and columns of the table: tokens of its sizes say nothing.
TEST(Embedding, RefusesATableThatCarriesAMask) {
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 0, 1, 1}, {4, 2}));
  const Variable weight(table(), Variable::kConstant, mask);
  EXPECT_EQ(error_of([&] {
              ops::embedding(weight, Variable(Tensor::zeros({4, 2}, DType::kInt64)));
            }),
            "[embedding] the table takes no mask; drop_mask() it on purpose");
}

TEST(Embedding, NamesATokenOutsideTheVocabulary) {
  const auto run = [](double token, const Shape& shape = {1, 2}) {
    return error_of([&] {
      ops::embedding(Variable(table()), Variable(make({1, token}, shape, DType::kInt64)));
    });
  };
  EXPECT_EQ(run(4), "[embedding] token 4 at element 1 of (1, 2) is outside the vocabulary of 4");
  EXPECT_EQ(run(-1), "[embedding] token -1 at element 1 of (1, 2) is outside the vocabulary of 4");
  EXPECT_EQ(error_of([&] {
              ops::embedding(Variable(table()), Variable(make({-1}, {1}, DType::kInt32)));
            }),
            "[embedding] token -1 at element 0 of (1,) is outside the vocabulary of 4");
  EXPECT_EQ(error_of([&] {
              ops::embedding(Variable(Tensor::empty({0, 2}, DType::kFloat32)),
                             Variable(make({0}, {1}, DType::kInt64)));
            }),
            "[embedding] token 0 at element 0 of (1,) is outside the vocabulary of 0");
}

// Tokens for several threads, two at each position, at some of which nothing exists.
struct ManyTokens {
  static constexpr std::int64_t kSamples = 50, kLength = 60, kVocabulary = 30;

  ManyTokens() {
    Random random(1);
    weight = test::uniform(random, {kVocabulary, 12});
    keep = test::random_bits(random, {kSamples, kLength}, 0.7);
    for (std::int64_t i = 0; i < tokens.numel(); ++i) {
      tokens.data<std::int32_t>()[i] =
          keep.data<bool>()[i / 2] ? static_cast<std::int32_t>(random.below(kVocabulary)) : -7;
    }
  }
  Variable look_up() const {
    return ops::embedding(Variable(weight), Variable(tokens, {}, SequenceMask(keep)));
  }

  Tensor weight, keep, tokens = Tensor::empty({kSamples, kLength, 2}, DType::kInt32);
};

TEST(Embedding, TakesTheRowOfEachOfManyTokensOnAnyNumberOfThreads) {
  const ManyTokens many;
  for (const int threads : {1, 2, 3}) {
    const test::WithThreads more(threads);
    const Tensor y = many.look_up().value();
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      const std::int64_t token = many.tokens.data<std::int32_t>()[i / 12];
      const double expected = token < 0 ? 0 : many.weight.data<double>()[token * 12 + i % 12];
      ASSERT_EQ(y.data<double>()[i], expected) << i << " on " << threads << " threads";
    }
  }
}

TEST(Embedding, NamesTheFirstOfManyTokensOutsideTheVocabularyOnAnyNumberOfThreads) {
  ManyTokens many;
  const std::int64_t first =
      2 * (std::find(many.keep.data<bool>() + 1000, many.keep.data<bool>() + 3000, true) -
           many.keep.data<bool>());
  many.keep.data<bool>()[2900] = true;
  many.tokens.data<std::int32_t>()[first + 1] = 31;
  many.tokens.data<std::int32_t>()[5800] = 32;
  for (const int threads : {1, 2, 3}) {
    const test::WithThreads more(threads);
    EXPECT_EQ(error_of([&] { many.look_up(); }),
              fmt::format("[embedding] token 31 at element {} of (50, 60, 2) is outside the "
                          "vocabulary of 30",
                          first + 1));
  }
}

TEST(Embedding, RefusesWhatIsNoTableAndWhatIsNoToken) {
  const Variable tokens(make({0}, {1}, DType::kInt64));
  EXPECT_EQ(error_of([&] { ops::embedding(Variable(make({1}, {1})), tokens); }),
            "[embedding] the table must be [V, D], got (1,)");
  EXPECT_EQ(error_of([&] { ops::embedding(Variable(table()), Variable(make({0}, {1}))); }),
            "[embedding] does not take float64");
  EXPECT_EQ(error_of([&] {
              ops::embedding(Variable(Tensor::zeros({2, 2}, DType::kInt32)), tokens);
            }),
            "[embedding] does not take int32");
}

TEST(Embedding, GivesZeroForMaskedTokensAndNeverReadsThem) {
  const SequenceMask mask(test::bits({1, 0, 0, 1}, {2, 2}));
  for (const double hidden : {0.0, 3.0, -7.0, 1e9}) {
    const Variable weight = leaf(table());
    const Variable tokens(make({3, hidden, hidden, 1}, {2, 2}, DType::kInt64), {}, mask);
    Tape tape;
    const Variable y = ops::embedding(weight, tokens);
    EXPECT_TRUE(y.mask() == mask);
    EXPECT_TRUE(test::same_bits(y.value(), make({30, 31, 0, 0, 0, 0, 10, 11}, {2, 2, 2})));
    tape.backward(y, make({1, 2, kNaN, kNaN, kNaN, kNaN, 3, 4}, {2, 2, 2}));
    EXPECT_TRUE(test::same_bits(weight.grad(), make({0, 0, 3, 4, 0, 0, 1, 2}, {4, 2})));
  }
}

TEST(Embedding, MasksAllTokensOfAPosition) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable tokens(make({1, 2, -5, -5}, {1, 2, 2}, DType::kInt32), {}, mask);
  const Variable y = ops::embedding(Variable(table()), tokens);
  EXPECT_TRUE(test::same_bits(y.value(), make({10, 11, 20, 21, 0, 0, 0, 0}, {1, 2, 2, 2})));
}

}  // namespace
}  // namespace maskgrad
