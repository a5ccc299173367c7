#include <gmock/gmock.h>

#include <maskgrad/ops/embedding.hpp>
#include <maskgrad/tensor/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

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

TEST(Embedding, NamesATokenOutsideTheVocabulary) {
  const auto run = [](double token, const Shape& shape = {1, 2}) {
    return error_of([&] {
      ops::embedding(Variable(table()), Variable(make({1, token}, shape, DType::kInt64)));
    });
  };
  EXPECT_EQ(run(4), "[embedding] token 4 at element 1 of (1, 2) is outside the vocabulary of 4");
  EXPECT_EQ(run(-1), "[embedding] token -1 at element 1 of (1, 2) is outside the vocabulary of 4");
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
