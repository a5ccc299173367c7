#include <cmath>
#include <tuple>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::to_doubles;

// By the definition, in long double and without the shift by the maximum.
std::vector<double> naive_softmax(const Tensor& x, bool logarithm) {
  const std::vector<double> values = to_doubles(x);
  const auto n = static_cast<std::size_t>(x.dim(-1));
  std::vector<double> y;
  for (std::size_t i = 0; i < values.size(); ++i) {
    long double sum = 0;
    for (std::size_t j = i / n * n; j < (i / n + 1) * n; ++j) sum += expl(values[j]);
    const long double x_i = values[i];
    y.push_back(static_cast<double>(logarithm ? x_i - logl(sum) : expl(x_i) / sum));
  }
  return y;
}

TEST(Softmax, FollowsItsFormula) {
  Random random(1);
  for (const Shape& shape : {Shape{1}, Shape{3}, Shape{16}, Shape{5, 20}, Shape{2, 3, 37},
                             Shape{2, 1000}, Shape{4, 1}}) {
    const Tensor x = test::uniform(random, shape, -5, 5);
    for (const DType dtype : test::kFloatingDTypes) {
      const Tensor y = ops::softmax(Variable(x.to(dtype))).value();
      const Tensor log_y = ops::log_softmax(Variable(x.to(dtype))).value();
      EXPECT_TRUE(is_close(y, naive_softmax(x.to(dtype), false))) << to_string(shape);
      EXPECT_TRUE(is_close(log_y, naive_softmax(x.to(dtype), true))) << to_string(shape);
      EXPECT_EQ(y.dtype(), dtype);
    }
  }
}

TEST(Softmax, IsStableForLargeLogits) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x(make({1e4, 1e4 - 0.5, -1e4}, {3}, dtype));
    const double p = 1 / (1 + std::exp(-0.5));
    EXPECT_TRUE(is_close(ops::softmax(x).value(), {p, 1 - p, 0}));
    // float32 holds 1e4 - 0.5 exactly, so nothing of the difference may be lost.
    EXPECT_TRUE(
        is_close(ops::log_softmax(x).value(), {std::log(p), std::log(p) - 0.5, std::log(p) - 2e4}));
  }
}

TEST(Softmax, GivesNotANumberForARowThatHasOne) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x(make({1, kNaN, 3, 1, 1, -kInf}, {2, 3}, dtype));
    EXPECT_TRUE(is_close(ops::softmax(x).value(), {kNaN, kNaN, kNaN, 0.5, 0.5, 0}));
    const double half = std::log(0.5);
    EXPECT_TRUE(is_close(ops::log_softmax(x).value(), {kNaN, kNaN, kNaN, half, half, -kInf}));
  }
}

TEST(Softmax, TakesRowsOfNothingAndNoRows) {
  for (const Shape& shape : {Shape{3, 0}, Shape{0, 4}, Shape{0}}) {
    const Tensor x = Tensor::empty(shape, DType::kFloat32);
    EXPECT_EQ(ops::softmax(Variable(x)).shape(), shape);
    EXPECT_EQ(ops::log_softmax(Variable(x)).shape(), shape);
    EXPECT_EQ(ops::masked_softmax(Variable(x), Tensor::zeros(shape, DType::kBool)).shape(), shape);
  }
}

TEST(Softmax, RefusesScalarsAndIntegers) {
  EXPECT_EQ(error_of([] { ops::softmax(Variable(make({1}, {}))); }),
            "[softmax] needs at least one dimension");
  EXPECT_EQ(error_of([] { ops::log_softmax(Variable(make({1}, {}))); }),
            "[log_softmax] needs at least one dimension");
  EXPECT_EQ(error_of([] { ops::softmax(Variable(make({1}, {1}, DType::kInt32))); }),
            "[softmax] does not take int32");
}

TEST(Softmax, KeepsAMaskWhosePositionsAreRows) {
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  const Variable x(Tensor::zeros({2, 3, 4}, DType::kFloat32), {}, mask);
  EXPECT_TRUE(ops::softmax(x).mask() == mask);
  EXPECT_TRUE(ops::log_softmax(x).mask() == mask);
  const Variable scores(Tensor::zeros({2, 3}, DType::kFloat32), {}, mask);
  const std::string rest =
      "would read masked positions of (2, 3); use masked_softmax, or drop_mask() on purpose";
  EXPECT_EQ(error_of([&] { ops::softmax(scores); }), "[softmax] " + rest);
  EXPECT_EQ(error_of([&] { ops::log_softmax(scores); }), "[log_softmax] " + rest);
  const Variable all(Tensor::full({2, 3}, 1, DType::kBool));
  EXPECT_TRUE(ops::masked_softmax(scores, all.value()).mask() == mask);
}

TEST(Softmax, GivesTheSameBitsWhereverARowStands) {
  Random random(2);
  for (const std::int64_t n : {1, 3, 16, 17, 20, 33, 100}) {
    for (const DType dtype : test::kFloatingDTypes) {
      const Tensor row = test::uniform(random, {1, n}).to(dtype);
      Tensor rows = Tensor::empty({9, n}, dtype);
      for (std::int64_t i = 0; i < 9; ++i) rows.view(i * n, {1, n}).copy_from(row);
      for (const auto op : {ops::softmax, ops::log_softmax}) {
        const Tensor alone = op(Variable(row)).value(), all = op(Variable(rows)).value();
        for (std::int64_t i = 0; i < 9; ++i) {
          EXPECT_TRUE(test::same_bits(all.view(i * n, {1, n}), alone)) << n << " row " << i;
        }
      }
    }
  }
}

TEST(Softmax, GivesTheBitsOfOneThreadOnThree) {
  Random random(3);
  const Tensor x = test::uniform(random, {700, 130});
  const Tensor keep = Tensor::full({700, 130}, 1, DType::kBool);
  for (const DType dtype : test::kFloatingDTypes) {
    const auto run = [&](auto op) {
      const Variable logits = leaf(x.to(dtype));
      Tape tape;
      const Variable y = op(logits);
      tape.backward(y, x.to(dtype));
      return std::pair(y.value(), logits.grad());
    };
    const auto masked = [&](const Variable& v) { return ops::masked_softmax(v, keep); };
    const auto once = std::tuple(run(ops::softmax), run(ops::log_softmax), run(masked));
    const test::WithThreads three(3);
    const auto again = std::tuple(run(ops::softmax), run(ops::log_softmax), run(masked));
    const auto compare = [](const auto& a, const auto& b) {
      EXPECT_TRUE(test::same_bits(a.first, b.first));
      EXPECT_TRUE(test::same_bits(a.second, b.second));
    };
    compare(std::get<0>(once), std::get<0>(again));
    compare(std::get<1>(once), std::get<1>(again));
    compare(std::get<2>(once), std::get<2>(again));
  }
}

}  // namespace
}  // namespace maskgrad
