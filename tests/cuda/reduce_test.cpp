// Sums, means and maxima along axes that the registry's samples do not have.
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/both_devices.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

test::Function sum_along(std::int64_t axis) {
  return [axis](const auto& x) { return ops::sum(x[0], {axis}); };
}
test::Function mean_along(std::int64_t axis) {
  return [axis](const auto& x) { return ops::mean(x[0], {axis}, true); };
}
test::Function max_along(std::int64_t axis) {
  return [axis](const auto& x) { return ops::max(x[0], axis); };
}
test::Function masked_max_along(std::int64_t axis, const Tensor& keep) {
  return [axis, keep](const auto& x) { return ops::masked_max(x[0], keep, axis, true); };
}
test::Function masked_mean_along(std::int64_t axis, const Tensor& keep) {
  return [axis, keep](const auto& x) { return ops::masked_mean(x[0], keep, axis); };
}

Tensor gradient_for(Random& random, const Shape& shape, int axis, bool keepdims, DType dtype) {
  const Shape before = shape.slice(0, axis), after = shape.slice(axis + 1, shape.rank());
  return test::uniform(random, keepdims ? shape.with_dim(axis, 1) : before.concat(after)).to(dtype);
}

// Multiples of 1/2, so that many are equal.
Tensor with_equals(Random& random, const Shape& shape, DType dtype) {
  return test::uniform(random, shape, -6, 6).to(DType::kInt64).to(dtype);
}

struct Case {
  Shape shape;
  int axis;
};
const Case kCases[] = {{{1}, 0},        {{33, 5}, 0},     {{3, 31}, 1},      {{2, 512}, 1},
                       {{513}, 0},      {{700, 3}, 0},    {{2, 600, 2}, 1},  {{9000}, 0},
                       {{4, 33, 6}, 1}, {{2, 40, 70}, 1}, {{2, 1300, 1}, 1}, {{0, 3}, 1},
                       {{3, 2, 0}, 1}};

TEST(CudaReductions, TakeAxesOfEveryLength) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Case& one : kCases) {
      const Shape& shape = one.shape;
      const int axis = one.axis;
      const Tensor x = test::uniform(random, shape).to(dtype),
                   equals = with_equals(random, shape, dtype),
                   keep = test::random_bits(random, shape, 0.3),
                   g = gradient_for(random, shape, axis, false, dtype),
                   g_keepdims = gradient_for(random, shape, axis, true, dtype);
      test::expect_those_of_the_cpu("sum", sum_along(axis), {x}, g);
      test::expect_those_of_the_cpu("mean", mean_along(axis), {x}, g_keepdims);
      test::expect_those_of_the_cpu("max", max_along(axis), {equals}, g);
      test::expect_those_of_the_cpu("masked_max", masked_max_along(axis, keep), {equals},
                                    g_keepdims);
      test::expect_those_of_the_cpu("masked_mean", masked_mean_along(axis, keep), {x}, g);
      const Tensor wanted = ops::argmax(equals, axis);
      test::in_each_order([&] {
        const Tensor got = ops::argmax(equals.to(kCuda), axis);
        EXPECT_TRUE(test::same_bits(got, wanted)) << to_string(shape);
      });
    }
  }
}

TEST(CudaReductions, TakeAVeryLongAxis) {
  Random random(2);
  const Shape shape = {70000};
  const Tensor x = with_equals(random, shape, DType::kFloat32),
               keep = test::random_bits(random, shape, 0.5),
               g = Tensor::full({}, 3, DType::kFloat32);
  test::expect_those_of_the_cpu("max", max_along(0), {x}, g);
  test::expect_those_of_the_cpu("masked_mean", masked_mean_along(0, keep), {x}, g);
  test::expect_those_of_the_cpu("sum", sum_along(0), {x}, g);
}

// Enough for a device to be busy with few threads for each.
TEST(CudaReductions, TakeManyLongColumns) {
  Random random(5);
  const Shape shape = {1030, 4100};
  const Tensor x = test::uniform(random, shape).to(DType::kFloat32),
               keep = test::random_bits(random, shape, 0.5),
               g = test::uniform(random, {4100}).to(DType::kFloat32);
  const auto wanted = test::run_on({}, masked_mean_along(0, keep), {x}, g),
             got = test::run_on(kCuda, masked_mean_along(0, keep), {x}, g);
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(test::same_bits(got[i], wanted[i]));
}

TEST(CudaReductions, OfNoElementsAreZeroOrRefused) {
  const Tensor nothing = Tensor::zeros({2, 0, 3}, DType::kFloat32),
               keep = Tensor::zeros({2, 0, 3}, DType::kBool),
               g = Tensor::full({2, 3}, 1, DType::kFloat32);
  const Tensor zeros = Tensor::zeros({2, 3}, DType::kFloat32);
  EXPECT_TRUE(test::same_bits(test::run_on(kCuda, sum_along(1), {nothing}, g)[0], zeros));
  EXPECT_TRUE(
      test::same_bits(test::run_on(kCuda, masked_mean_along(1, keep), {nothing}, g)[0], zeros));
  EXPECT_THROW(ops::max(Variable(nothing.to(kCuda)), 1), Error);
  EXPECT_THROW(ops::argmax(nothing.to(kCuda), 1), Error);
}

TEST(CudaMaxima, HaveTheFirstOfEqualsAndTheFirstNaN) {
  const Tensor x = test::make({-0.0, 0, 0, -0.0,                                    //
                               1, test::kNaN, test::kInf, test::kNaN,               //
                               -test::kInf, -test::kInf, -test::kInf, -test::kInf,  //
                               test::kInf, 5, test::kInf, -1},
                              {4, 4});
  const Tensor keep = test::bits({0, 1, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0}, {4, 4});
  Random random(3);
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor g = test::uniform(random, {4}).to(dtype);
    for (const std::int64_t axis : {0, 1}) {
      const Tensor of = x.to(dtype), index = ops::argmax(of.to(kCuda), axis);
      EXPECT_EQ(index.device(), Device{});
      EXPECT_TRUE(test::same_bits(index, ops::argmax(of, axis)));
      test::expect_those_of_the_cpu("max", max_along(axis), {of}, g);
      test::expect_those_of_the_cpu("masked_max", masked_max_along(axis, keep), {of},
                                    g.reshape(Shape{4, 4}.with_dim(static_cast<int>(axis), 1)));
    }
  }
}

TEST(CudaMaskedReductions, ReadNothingThatIsNotKept) {
  Random random(4);
  const SequenceMask mask(test::bits({1, 1, 0, 1, 0, 0, 0, 0, 0}, {3, 3}));
  const Shape shape = {3, 3, 40};
  const Tensor keep = test::random_bits(random, shape, 0.5);
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = test::uniform(random, shape).to(dtype);
    for (const int axis : {1, 2}) {
      Tensor counts = keep.clone();
      fill_holes(counts, mask, false);
      for (const double poison : {test::kNaN, test::kInf, -test::kInf}) {
        const Tensor poisoned = dispatch_dtype(FloatingTypes{}, dtype, "test", [&]<class T>(T) {
          Tensor all = x.clone();
          for (std::int64_t i = 0; i < all.numel(); ++i) {
            if (!counts.data<bool>()[i]) all.data<T>()[i] = static_cast<T>(poison);
          }
          return all;
        });
        const Tensor g = gradient_for(random, shape, axis, false, dtype),
                     g_keepdims = gradient_for(random, shape, axis, true, dtype);
        const auto expect_same = [&](const test::Function& f, const Tensor& arrives) {
          const auto wanted = test::run_on({}, f, {x}, arrives, mask);
          const auto got = test::run_on(kCuda, f, {poisoned}, arrives, mask);
          EXPECT_TRUE(test::same_bits(got[0], wanted[0])) << axis << " with " << poison;
          EXPECT_TRUE(test::same_bits(got[1], wanted[1])) << axis << " with " << poison;
        };
        expect_same(masked_mean_along(axis, keep), g);
        expect_same(masked_max_along(axis, keep), g_keepdims);
      }
    }
  }
}

TEST(CudaMaskedReductions, GiveAndSendZeroWhereNothingIsKept) {
  const Tensor keep = test::bits({0, 0, 0, 1}, {2, 2});
  const Tensor x = test::make({test::kNaN, test::kInf, 1, 2}, {2, 2});
  const Tensor g = test::make({test::kNaN, 3}, {2});
  const Tensor zeros = Tensor::zeros({2}, DType::kFloat64);
  for (const auto& f : {masked_mean_along(1, keep), test::Function([&](const auto& leaves) {
                          return ops::masked_max(leaves[0], keep, 1);
                        })}) {
    const auto all = test::run_on(kCuda, f, {x}, g);
    EXPECT_EQ(test::to_doubles(all[0]), (std::vector<double>{0, 2}));
    EXPECT_FALSE(std::signbit(test::to_doubles(all[0])[0]));
    EXPECT_TRUE(test::same_bits(all[1][0], zeros));
    EXPECT_EQ(test::to_doubles(all[1][1]), (std::vector<double>{0, 3}));
  }
}

}  // namespace
}  // namespace maskgrad
