// Reductions, broadcasting and choices beside xtensor's, on shapes drawn at random.
#include <numeric>

#include <gtest/gtest.h>
#include <xtensor/xmath.hpp>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/xtensor.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::to_doubles;
using test::uniform;

constexpr int kRounds = 60;

Shape random_shape(Random& random) {
  std::vector<std::int64_t> dims(random.below(4) + 1);
  for (std::int64_t& size : dims) size = random.below(12) == 0 ? 0 : 1 + random.below(5);
  return Shape(dims);
}

// Some of the axes, at least one.
std::vector<std::int64_t> random_axes(Random& random, int rank) {
  std::vector<std::int64_t> axes;
  for (int axis = 0; axis < rank; ++axis) {
    if (random.below(2)) axes.push_back(axis);
  }
  return axes.empty() ? std::vector<std::int64_t>{rank - 1} : axes;
}

// What broadcasts to `shape`: with sizes of 1, or fewer dimensions.
Shape stretchable(Random& random, const Shape& shape) {
  Shape part = shape.slice(static_cast<int>(random.below(2)) * (shape.rank() - 1), shape.rank());
  for (int axis = 0; axis < part.rank(); ++axis) {
    if (random.below(3) == 0) part = part.with_dim(axis, 1);
  }
  return part;
}

// f(random) for many draws.
template <class F>
void in_many_rounds(F&& f) {
  Random random(7);
  for (int round = 0; round < kRounds; ++round) f(random);
}

::testing::AssertionResult agree(const Variable& y, const Tensor& expected, double tolerance) {
  if (y.shape() != expected.shape()) {
    return ::testing::AssertionFailure()
           << to_string(y.shape()) << ", xtensor has " << to_string(expected.shape());
  }
  return test::is_close(y.value(), to_doubles(expected), tolerance);
}

TEST(BesideXtensor, SumsAndMeansAreTheSame) {
  in_many_rounds([](Random& random) {
    const Tensor x = uniform(random, random_shape(random));
    const auto reference = as_xtensor<double>(x);
    const std::vector<std::int64_t> axes = random_axes(random, x.rank());
    const std::vector<std::size_t> same(axes.begin(), axes.end());
    EXPECT_TRUE(agree(ops::sum(Variable(x), axes), from_xtensor(xt::sum(reference, same)), 1e-13));
    EXPECT_TRUE(agree(ops::sum(Variable(x), axes, true),
                      from_xtensor(xt::sum(reference, same, xt::keep_dims)), 1e-13));
    if (x.numel() == 0) return;
    EXPECT_TRUE(
        agree(ops::mean(Variable(x), axes), from_xtensor(xt::mean(reference, same)), 1e-13));
  });
}

TEST(BesideXtensor, MaximaAreTheSame) {
  in_many_rounds([](Random& random) {
    const Tensor x = uniform(random, random_shape(random));
    if (x.numel() == 0) return;
    const std::int64_t axis = random_axes(random, x.rank()).front();
    const std::vector<std::size_t> same = {static_cast<std::size_t>(axis)};
    EXPECT_TRUE(
        agree(ops::max(Variable(x), axis), from_xtensor(xt::amax(as_xtensor<double>(x), same)), 0));
  });
}

TEST(BesideXtensor, BroadcastsAreTheSame) {
  in_many_rounds([](Random& random) {
    const Shape shape = random_shape(random);
    const Tensor a = uniform(random, stretchable(random, shape)),
                 b = uniform(random, stretchable(random, shape), 0.5, 2);
    const auto x = as_xtensor<double>(a), y = as_xtensor<double>(b);
    const Variable u(a), v(b);
    EXPECT_TRUE(agree(ops::add(u, v), from_xtensor(x + y), 0));
    EXPECT_TRUE(agree(ops::subtract(u, v), from_xtensor(x - y), 0));
    EXPECT_TRUE(agree(ops::multiply(u, v), from_xtensor(x * y), 0));
    EXPECT_TRUE(agree(ops::divide(u, v), from_xtensor(x / y), 0));
    EXPECT_TRUE(agree(ops::maximum(u, v), from_xtensor(xt::maximum(x, y)), 0));
    EXPECT_TRUE(agree(ops::minimum(u, v), from_xtensor(xt::minimum(x, y)), 0));
  });
}

TEST(BesideXtensor, ChoicesAreTheSame) {
  in_many_rounds([](Random& random) {
    const Shape shape = random_shape(random);
    const Tensor condition = test::random_bits(random, stretchable(random, shape)),
                 a = uniform(random, stretchable(random, shape)),
                 b = uniform(random, stretchable(random, shape));
    EXPECT_TRUE(agree(ops::where(condition, Variable(a), Variable(b)),
                      from_xtensor(xt::where(as_xtensor<bool>(condition), as_xtensor<double>(a),
                                             as_xtensor<double>(b))),
                      0));
  });
}

TEST(BesideXtensor, PermutationsAreTheSame) {
  in_many_rounds([](Random& random) {
    const Tensor x = uniform(random, random_shape(random));
    std::vector<std::int64_t> axes(static_cast<std::size_t>(x.rank()));
    std::iota(axes.rbegin(), axes.rend(), 0);
    EXPECT_TRUE(agree(ops::permute(Variable(x), axes),
                      from_xtensor(xt::transpose(as_xtensor<double>(x))), 0));
  });
}

}  // namespace
}  // namespace maskgrad
