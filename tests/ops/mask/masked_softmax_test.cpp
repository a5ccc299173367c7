#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/both_ways.hpp"
#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::BothWays;
using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::random_bits;
using test::to_doubles;

BothWays run(const Tensor& x, const Tensor& keep, const Tensor& grad_output) {
  return test::both_ways([&](const Variable& v) { return ops::masked_softmax(v, keep); }, x,
                         grad_output);
}

TEST(MaskedSoftmax, IsTheSoftmaxOfTheKeptPlacesAlone) {
  Random random(1);
  for (const std::int64_t n : {1, 5, 16, 17, 40, 256, 257, 600}) {
    const Tensor x = test::uniform(random, {6, n}), keep = random_bits(random, {6, n});
    for (const DType dtype : test::kFloatingDTypes) {
      const std::vector<double> values = to_doubles(x.to(dtype)), kept = to_doubles(keep);
      std::vector<double> expected(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t row = i / static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
        double sum = 0;
        for (std::size_t j = row; j < row + static_cast<std::size_t>(n); ++j) {
          sum += kept[j] != 0 ? std::exp(values[j]) : 0;
        }
        expected[i] = kept[i] != 0 ? std::exp(values[i]) / sum : 0;
      }
      const Tensor y = ops::masked_softmax(Variable(x.to(dtype)), keep).value();
      EXPECT_TRUE(is_close(y, expected));
      for (std::size_t i = 0; i < kept.size(); ++i) {
        if (kept[i] == 0) {
          EXPECT_TRUE(
              test::same_bits(y.view(static_cast<std::int64_t>(i), {}), Tensor::zeros({}, dtype)));
        }
      }
    }
  }
}

TEST(MaskedSoftmax, WithEverythingKeptHasTheBitsOfSoftmax) {
  Random random(2);
  const Tensor x = test::uniform(random, {3, 37}), g = test::uniform(random, {3, 37});
  for (const DType dtype : test::kFloatingDTypes) {
    const BothWays masked = run(x.to(dtype), Tensor::full({1}, 1, DType::kBool), g.to(dtype));
    const Variable logits = leaf(x.to(dtype));
    Tape tape;
    const Variable y = ops::softmax(logits);
    tape.backward(y, g.to(dtype));
    EXPECT_TRUE(test::same_bits(masked.y, y.value()));
    EXPECT_TRUE(test::same_bits(masked.dx, logits.grad()));
  }
}

TEST(MaskedSoftmax, HasTheGradientOfItsFormulaInRowsOfAnyLength) {
  Random random(5);
  for (const std::int64_t n : {1, 15, 16, 17, 40, 600}) {
    const Tensor x = test::uniform(random, {2, n}), g = test::uniform(random, {2, n}),
                 keep = random_bits(random, {2, n});
    const BothWays result = run(x, keep, g);
    const std::vector<double> y = to_doubles(result.y), grad = to_doubles(g);
    std::vector<double> expected(y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t row = i / static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
      double dot = 0;
      for (std::size_t j = row; j < row + static_cast<std::size_t>(n); ++j) dot += y[j] * grad[j];
      expected[i] = y[i] * (grad[i] - dot);
    }
    EXPECT_TRUE(is_close(result.dx, expected)) << n;
  }
}

TEST(MaskedSoftmax, OfARowWithNothingIsExactlyZeroBothWays) {
  for (const DType dtype : test::kFloatingDTypes) {
    const BothWays result =
        run(make({kNaN, kInf, 3, 1, 2, 3}, {2, 3}, dtype), test::bits({0, 0, 0, 1, 1, 1}, {2, 3}),
            make({kNaN, kInf, 1, 1, 2, 3}, {2, 3}, dtype));
    EXPECT_TRUE(test::same_bits(result.y.view(0, {3}), Tensor::zeros({3}, dtype)));
    EXPECT_TRUE(test::same_bits(result.dx.view(0, {3}), Tensor::zeros({3}, dtype)));
    EXPECT_GT(to_doubles(result.y)[3], 0);
  }
}

TEST(MaskedSoftmax, IsExactlyZeroAtMaskedPlacesEvenBesideNotANumber) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor keep = test::bits({1, 0, 1, 0, 1, 0, 1, 0}, {2, 4});
    // The first row has a NaN that counts, the second is sent one back.
    const BothWays result = run(make({kNaN, 1, 2, 3, 4, 5, 6, 7}, {2, 4}, dtype), keep,
                                make({1, 1, 1, 1, kNaN, 1, 1, 1}, {2, 4}, dtype));
    for (const std::int64_t i : {1, 3, 5, 7}) {
      EXPECT_TRUE(test::same_bits(result.y.view(i, {}), Tensor::zeros({}, dtype))) << i;
      EXPECT_TRUE(test::same_bits(result.dx.view(i, {}), Tensor::zeros({}, dtype))) << i;
    }
    EXPECT_TRUE(std::isnan(to_doubles(result.y)[0]));
    EXPECT_TRUE(std::isnan(to_doubles(result.dx)[4]));
  }
}

Tensor poisoned(const Tensor& x, const Tensor& keep, double poison) {
  const Tensor kept = ops::expand(keep, x.shape());
  Tensor result = x.clone();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    if (!kept.data<bool>()[i]) result.view(i, {}).fill(poison);
  }
  return result;
}

TEST(MaskedSoftmax, ReadsNothingThatIsMaskedForwardOrBackward) {
  Random random(3);
  for (const Shape& shape : {Shape{2, 4, 19}, Shape{19}, Shape{4, 1}, Shape{2, 1, 19}}) {
    const Tensor keep = random_bits(random, shape);
    for (const DType dtype : test::kFloatingDTypes) {
      const Tensor x = test::uniform(random, {2, 4, 19}).to(dtype);
      const Tensor g = test::uniform(random, {2, 4, 19}).to(dtype);
      const BothWays clean = run(x, keep, g);
      for (const double poison : {1e30, -1e30, kInf, -kInf, kNaN}) {
        const BothWays mixed = run(poisoned(x, keep, poison), keep, poisoned(g, keep, poison));
        EXPECT_TRUE(test::same_bits(mixed.y, clean.y)) << poison;
        EXPECT_TRUE(test::same_bits(mixed.dx, clean.dx)) << poison;
      }
    }
  }
}

TEST(MaskedSoftmax, GivesTheSameBitsWhenARowIsPadded) {
  Random random(4);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const std::int64_t n : {1, 3, 16, 17, 20, 31, 250}) {
      const Tensor x = test::uniform(random, {n}).to(dtype),
                   g = test::uniform(random, {n}).to(dtype);
      Tensor all_but_one = Tensor::full({n}, 1, DType::kBool);
      if (n > 10) all_but_one.data<bool>()[10] = false;
      const BothWays alone = run(x, all_but_one, g);
      for (const std::int64_t padding : {1, 4, 16, 40}) {
        Tensor padded_x = Tensor::full({n + padding}, 50, dtype), padded_g = padded_x.clone();
        Tensor keep = Tensor::zeros({n + padding}, DType::kBool);
        padded_x.view(0, {n}).copy_from(x);
        padded_g.view(0, {n}).copy_from(g);
        keep.view(0, {n}).copy_from(all_but_one);
        const BothWays padded = run(padded_x, keep, padded_g);
        EXPECT_TRUE(test::same_bits(padded.y.view(0, {n}), alone.y)) << n << " + " << padding;
        EXPECT_TRUE(test::same_bits(padded.dx.view(0, {n}), alone.dx)) << n << " + " << padding;
      }
    }
  }
}

TEST(MaskedSoftmax, IsStableForLargeLogits) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor y = ops::masked_softmax(Variable(make({1e4, 1e4, 2e4, -1e4}, {4}, dtype)),
                                         test::bits({1, 1, 0, 1}, {4}))
                         .value();
    EXPECT_TRUE(is_close(y, {0.5, 0.5, 0, 0}));
  }
}

TEST(MaskedSoftmax, HasTheGradientThatDifferencesGive) {
  Random random(5);
  const Variable x = leaf(test::uniform(random, {4, 7}));
  const Tensor keep = random_bits(random, {4, 7});
  EXPECT_TRUE(test::gradients_agree([&] { return ops::masked_softmax(x, keep); }, {{"x", x}}));
}

TEST(MaskedSoftmax, RefusesAMaskThatDoesNotFit) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { ops::masked_softmax(x, Tensor::zeros({2}, DType::kBool)); }),
            "[masked_softmax] a mask of bool (2,) does not fit an input of (2, 3)");
  EXPECT_EQ(error_of([&] {
              ops::masked_softmax(x, Tensor::zeros({1, 2, 3}, DType::kBool));
            }),
            "[masked_softmax] a mask of bool (1, 2, 3) does not fit an input of (2, 3)");
  EXPECT_EQ(error_of([&] { ops::masked_softmax(x, Tensor::zeros({3}, DType::kFloat32)); }),
            "[masked_softmax] a mask of float32 (3,) does not fit an input of (2, 3)");
  EXPECT_EQ(error_of([] {
              ops::masked_softmax(Variable(make({1}, {})), Tensor::zeros({}, DType::kBool));
            }),
            "[masked_softmax] needs at least one dimension");
}

}  // namespace
}  // namespace maskgrad
