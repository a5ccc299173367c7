#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

const SequenceMask kMask(bits({1, 1, 0, 0, 0, 0, 1, 0, 1}, {3, 3}));

TEST(Packing, PutsWhatExistsIntoOneRow) {
  const ops::Packing packing = ops::packing_of(kMask);
  EXPECT_THAT(to_doubles(packing.segments), ElementsAre(0, 0, 2, 2));
  EXPECT_THAT(to_doubles(packing.positions), ElementsAre(0, 1, 0, 2));
  const Variable x(make({1, 2, NAN, NAN, NAN, NAN, 3, NAN, 4}, {3, 3}), Variable::kConstant, kMask);
  const Variable row = ops::pack(x, packing);
  EXPECT_EQ(row.shape(), (Shape{1, 4}));
  EXPECT_THAT(to_doubles(row.value()), ElementsAre(1, 2, 3, 4));
  EXPECT_FALSE(row.mask().defined());
}

TEST(Packing, ComesBackWithTheMaskAndFilledHoles) {
  for (const DType dtype : {DType::kFloat32, DType::kInt64, DType::kBool}) {
    const ops::Packing packing = ops::packing_of(kMask);
    const Variable x(make({1, 1, 0, 0, 0, 0, 0, 0, 1}, {3, 3}, dtype), Variable::kConstant, kMask);
    const Variable back = ops::unpack(ops::pack(x, packing), packing);
    EXPECT_TRUE(back.mask() == kMask);
    EXPECT_TRUE(test::same_bits(back.value(), x.value()));
  }
}

TEST(Packing, SendsGradientsBackToWhereRowsWere) {
  const ops::Packing packing = ops::packing_of(kMask);
  const Variable x = leaf(Tensor::full({3, 3}, NAN, DType::kFloat64), kMask);
  Tape tape;
  tape.backward(ops::pack(x, packing), make({1, 2, 3, 4}, {1, 4}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(1, 2, 0, 0, 0, 0, 3, 0, 4));
}

TEST(Packing, OfABatchOfNothingButPaddingIsAnEmptyRow) {
  const ops::Packing packing = ops::packing_of(SequenceMask(Tensor::zeros({2, 3}, DType::kBool)));
  const Variable x(Tensor::full({2, 3, 4}, 7, DType::kFloat64));
  const Variable row = ops::pack(x, packing);
  EXPECT_EQ(row.shape(), (Shape{1, 0, 4}));
  EXPECT_THAT(to_doubles(ops::unpack(row, packing).value()), ::testing::Each(0));
}

TEST(Packing, RefusesWhatDoesNotFit) {
  const ops::Packing packing = ops::packing_of(kMask);
  EXPECT_EQ(
      error_of([] { ops::packing_of({}); }),
      "[pack] the mask was used before it was given a value; there is no padding to leave out");
  EXPECT_EQ(error_of([&] { ops::pack(Variable(make({1}, {1})), packing); }),
            "[pack] a packing of (3, 3) does not fit a value of (1,)");
  const Variable other(Tensor::zeros({3, 3}, DType::kFloat32), Variable::kConstant, ~kMask);
  EXPECT_EQ(error_of([&] { ops::pack(other, packing); }),
            "[pack] the value carries another mask than the packing's");
  EXPECT_EQ(error_of([&] {
              ops::unpack(Variable(make({1, 2}, {1, 2})), packing);
            }),
            "[unpack] needs a row of 4 positions, got (1, 2)");
}

// A model of one attention layer that predicts each token from its sequence.
class Attentive {
 public:
  static constexpr std::int64_t kVocabulary = 6, kFeatures = 4;

  Attentive() {
    Random random(1);
    for (Variable* w : {&embed, &q, &k, &v}) {
      const std::int64_t rows = w == &embed ? kVocabulary : kFeatures;
      *w = leaf(test::uniform(random, {rows, kFeatures}, -1, 1));
    }
    out = leaf(test::uniform(random, {kFeatures, kVocabulary}, -1, 1));
  }

  // The loss over the positions of tokens [B, S] that exist.
  ops::SumCount loss(const Variable& tokens, const AttentionMask& mask) const {
    const Variable x = ops::embedding(embed, tokens);
    const auto heads = [&](const Variable& w) {
      const Variable y = drop_mask(ops::matmul(x, w));
      return ops::reshape(y, {y.dim(0), 1, y.dim(1), kFeatures});
    };
    const Variable y = ops::scaled_dot_product_attention(heads(q), heads(k), heads(v), mask);
    Variable rows = ops::reshape(y, {tokens.dim(0), tokens.dim(1), kFeatures});
    if (tokens.mask().defined()) rows = ops::with_mask(rows, tokens.mask());
    return ops::cross_entropy(ops::matmul(ops::add(x, rows), out), tokens.value());
  }

  std::vector<double> gradients() {
    std::vector<double> all;
    for (Variable* w : {&embed, &q, &k, &v, &out}) {
      for (const double g : to_doubles(w->grad())) all.push_back(g);
      w->clear_grad();
    }
    return all;
  }

  Variable embed, q, k, v, out;
};

TEST(Packing, TrainsAsPaddingDoesAndAsOneByOne) {
  const std::vector<std::vector<double>> samples = {{1, 2, 3}, {4}, {5, 1}};
  const Tensor padded = make({1, 2, 3, 4, 0, 0, 5, 1, 0}, {3, 3}, DType::kInt64);
  const SequenceMask mask = SequenceMask::from_tokens(padded, 0);
  const Variable batch(padded, Variable::kConstant, mask);
  Attentive model;
  const auto run = [&](const std::function<double()>& losses) {
    const double loss = losses();
    std::vector<double> all = model.gradients();
    all.push_back(loss);
    return all;
  };
  const auto one = [&](const Variable& tokens, const AttentionMask& pairs) {
    Tape tape;
    const ops::SumCount loss = model.loss(tokens, pairs);
    tape.backward(loss.sum);
    return loss.sum.item();
  };
  const auto as_padded = run([&] { return one(batch, AttentionMask::padding(mask)); });
  const auto as_packed = run([&] {
    const ops::Packing packing = ops::packing_of(mask);
    return one(ops::pack(batch, packing), packing.attention());
  });
  const auto one_by_one = run([&] {
    double sum = 0;
    for (const auto& sample : samples) {
      const auto length = static_cast<std::int64_t>(sample.size());
      sum += one(Variable(make(sample, {1, length}, DType::kInt64)),
                 AttentionMask::all(length, length));
    }
    return sum;
  });
  const Tensor reference = make(as_padded, {static_cast<std::int64_t>(as_padded.size())});
  EXPECT_TRUE(test::is_close(reference, as_packed, 1e-13));
  EXPECT_TRUE(test::is_close(reference, one_by_one, 1e-13));
}

}  // namespace
}  // namespace maskgrad
