#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/both_ways.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::BothWays;
using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::random_bits;
using test::same_bits;
using test::to_doubles;

BothWays run(const Tensor& x, const Tensor& keep, const Tensor& grad_output) {
  return test::both_ways([&](const Variable& v) { return ops::masked_log_softmax(v, keep); }, x,
                         grad_output);
}

// log softmax over the kept places of each row of n, and its gradient g - softmax sum_k g_k.
std::pair<std::vector<double>, std::vector<double>> by_definition(const std::vector<double>& x,
                                                                  const std::vector<double>& keep,
                                                                  const std::vector<double>& g,
                                                                  std::size_t n) {
  std::vector<double> y(x.size()), dx(x.size());
  for (std::size_t row = 0; row < x.size(); row += n) {
    double sum = 0, grads = 0;
    for (std::size_t j = row; j < row + n; ++j) {
      sum += keep[j] != 0 ? std::exp(x[j]) : 0;
      grads += keep[j] != 0 ? g[j] : 0;
    }
    for (std::size_t j = row; j < row + n; ++j) {
      if (keep[j] == 0) continue;
      y[j] = x[j] - std::log(sum);
      dx[j] = g[j] - std::exp(x[j]) / sum * grads;
    }
  }
  return {y, dx};
}

TEST(MaskedLogSoftmax, IsTheLogSoftmaxOfTheKeptPlacesAndExactlyZeroAtTheOthers) {
  Random random(1);
  for (const std::int64_t n : {1, 5, 16, 17, 40}) {
    for (const Shape& shape : {Shape{6, n}, Shape{n}, Shape{6, 1}, Shape{}}) {
      const Tensor keep = random_bits(random, shape), all = ops::expand(keep, {6, n});
      for (const DType dtype : test::kFloatingDTypes) {
        const Tensor x = test::uniform(random, {6, n}).to(dtype);
        const Tensor g = test::uniform(random, {6, n}).to(dtype);
        const auto [y, dx] = by_definition(to_doubles(x), to_doubles(all), to_doubles(g),
                                           static_cast<std::size_t>(n));
        const BothWays got = run(x, keep, g);
        EXPECT_TRUE(is_close(got.y, y));
        EXPECT_TRUE(is_close(got.dx, dx, 4 * test::tolerance(dtype)));
        for (std::int64_t i = 0; i < all.numel(); ++i) {
          if (all.data<bool>()[i]) continue;
          EXPECT_TRUE(same_bits(got.y.view(i, {}), Tensor::zeros({}, dtype)));
          EXPECT_TRUE(same_bits(got.dx.view(i, {}), Tensor::zeros({}, dtype)));
        }
      }
    }
  }
}

TEST(MaskedLogSoftmax, WithEverythingKeptHasTheBitsOfLogSoftmax) {
  Random random(2);
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = test::uniform(random, {3, 37}).to(dtype);
    const Tensor g = test::uniform(random, {3, 37}).to(dtype);
    const BothWays masked = run(x, bits({1}, {1}), g);
    const Variable logits = leaf(x);
    Tape tape;
    const Variable y = ops::log_softmax(logits);
    tape.backward(y, g);
    EXPECT_TRUE(same_bits(masked.y, y.value()));
    EXPECT_TRUE(same_bits(masked.dx, logits.grad()));
  }
}

TEST(MaskedLogSoftmax, OfARowWithNothingIsExactlyZeroBothWays) {
  for (const DType dtype : test::kFloatingDTypes) {
    const BothWays got =
        run(make({kNaN, kInf, -kInf, 1, 2, 3}, {2, 3}, dtype), bits({0, 0, 0, 1, 1, 1}, {2, 3}),
            make({kNaN, kInf, 1, 1, 2, 3}, {2, 3}, dtype));
    EXPECT_TRUE(same_bits(got.y.view(0, {3}), Tensor::zeros({3}, dtype)));
    EXPECT_TRUE(same_bits(got.dx.view(0, {3}), Tensor::zeros({3}, dtype)));
    EXPECT_LT(to_doubles(got.y)[3], -1);
  }
}

TEST(MaskedLogSoftmax, OfOnePlaceIsZeroAndSendsNothing) {
  for (const DType dtype : test::kFloatingDTypes) {
    const BothWays got = run(make({kNaN, 1e4, 3}, {3}, dtype), bits({0, 1, 0}, {3}),
                             make({kInf, 5, kNaN}, {3}, dtype));
    EXPECT_TRUE(same_bits(got.y, Tensor::zeros({3}, dtype)));
    EXPECT_TRUE(same_bits(got.dx, Tensor::zeros({3}, dtype)));
  }
}

TEST(MaskedLogSoftmax, IsExactlyZeroAtMaskedPlacesEvenBesideNotANumber) {
  for (const DType dtype : test::kFloatingDTypes) {
    // The first row has a NaN that counts, the second is sent one back.
    const BothWays got = run(make({kNaN, 1, 2, 3, 4, 5, 6, 7}, {2, 4}, dtype),
                             bits({1, 0, 1, 0, 1, 0, 1, 0}, {2, 4}),
                             make({1, 1, 1, 1, kNaN, 1, 1, 1}, {2, 4}, dtype));
    for (const std::int64_t i : {1, 3, 5, 7}) {
      EXPECT_TRUE(same_bits(got.y.view(i, {}), Tensor::zeros({}, dtype))) << i;
      EXPECT_TRUE(same_bits(got.dx.view(i, {}), Tensor::zeros({}, dtype))) << i;
    }
    EXPECT_TRUE(std::isnan(to_doubles(got.y)[0]));
    EXPECT_TRUE(std::isnan(to_doubles(got.dx)[4]));
  }
}

TEST(MaskedLogSoftmax, GivesTheSameBitsWhenARowIsPadded) {
  Random random(4);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const std::int64_t n : {1, 3, 16, 17, 31}) {
      const Tensor x = test::uniform(random, {n}).to(dtype);
      const Tensor g = test::uniform(random, {n}).to(dtype);
      const BothWays alone = run(x, bits({1}, {1}), g);
      for (const std::int64_t padding : {1, 4, 16, 40}) {
        Tensor more_x = Tensor::full({n + padding}, kNaN, dtype), more_g = more_x.clone();
        Tensor keep = Tensor::zeros({n + padding}, DType::kBool);
        more_x.view(0, {n}).copy_from(x);
        more_g.view(0, {n}).copy_from(g);
        keep.view(0, {n}).fill(1);
        const BothWays more = run(more_x, keep, more_g);
        EXPECT_TRUE(same_bits(more.y.view(0, {n}), alone.y)) << n << " + " << padding;
        EXPECT_TRUE(same_bits(more.dx.view(0, {n}), alone.dx)) << n << " + " << padding;
      }
    }
  }
}

TEST(MaskedLogSoftmax, IsStableForLargeLogits) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = make({1e4, 1e4, 2e4, -1e4}, {4}, dtype);
    const Tensor y = ops::masked_log_softmax(Variable(x), bits({1, 1, 0, 1}, {4})).value();
    EXPECT_TRUE(is_close(y, {-std::log(2.0), -std::log(2.0), 0, -2e4 - std::log(2.0)}));
  }
}

TEST(MaskedLogSoftmax, LeavesOutTheHolesOfTheInputsMaskAndKeepsIt) {
  const SequenceMask mask(bits({1, 0, 1}, {1, 3}));
  for (const Shape& shape : {Shape{1, 3}, Shape{1, 3, 1}}) {
    const Variable x = leaf(make({1, kNaN, 1}, shape), mask);
    Tape tape;
    const Variable y = ops::masked_log_softmax(x, bits({1}, {}));
    EXPECT_TRUE(y.mask() == mask);
    const double half = shape.rank() == 2 ? -std::log(2.0) : 0;
    EXPECT_TRUE(is_close(y.value(), {half, 0, half}));
    tape.backward(y, make({3, kNaN, 1}, shape));
    EXPECT_TRUE(is_close(x.grad(), {shape.rank() == 2 ? 1.0 : 0, 0, shape.rank() == 2 ? -1.0 : 0}));
  }
}

TEST(MaskedLogSoftmax, TakesRowsOfNothingAndNoRows) {
  for (const Shape& shape : {Shape{3, 0}, Shape{0, 3}, Shape{0}}) {
    const BothWays got = run(Tensor::zeros(shape, DType::kFloat32), bits({1}, {}),
                             Tensor::zeros(shape, DType::kFloat32));
    EXPECT_EQ(got.y.shape(), shape);
    EXPECT_EQ(got.dx.shape(), shape);
  }
}

TEST(MaskedLogSoftmax, RefusesAMaskThatDoesNotFit) {
  const auto error = [](const Variable& x, const Tensor& keep) {
    return error_of([&] { ops::masked_log_softmax(x, keep); });
  };
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  EXPECT_EQ(error(x, bits({1, 1}, {2})),
            "[masked_log_softmax] a mask of bool (2,) does not fit an input of (2, 3)");
  EXPECT_EQ(error(x, make({1, 1, 1}, {3})),
            "[masked_log_softmax] a mask of float64 (3,) does not fit an input of (2, 3)");
  EXPECT_EQ(error(Variable(make({1}, {})), bits({1}, {})),
            "[masked_log_softmax] needs at least one dimension");
  EXPECT_EQ(error(Variable(Tensor::zeros({2}, DType::kInt32)), bits({1}, {})),
            "[masked_log_softmax] does not take int32");
}

}  // namespace
}  // namespace maskgrad
