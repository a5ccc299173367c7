#include <limits>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

// The place in a tensor of shape `to` that element i of a tensor of shape `from` was stretched
// from.
std::int64_t source_of(std::int64_t i, const Shape& from, const Shape& to) {
  std::int64_t place = 0, step = 1;
  for (int axis = 1; axis <= from.rank(); ++axis) {
    const std::int64_t index = i % from.dim(-axis);
    i /= from.dim(-axis);
    if (axis > to.rank()) continue;
    place += to.dim(-axis) == 1 ? 0 : index * step;
    step *= to.dim(-axis);
  }
  return place;
}

std::vector<double> naive_sum_to(const Tensor& x, const Shape& to) {
  std::vector<double> sums(static_cast<std::size_t>(to.numel()));
  const std::vector<double> values = to_doubles(x);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    sums[static_cast<std::size_t>(source_of(i, x.shape(), to))] +=
        values[static_cast<std::size_t>(i)];
  }
  return sums;
}

TEST(SumTo, AgreesWithTheDefinitionOverRandomShapes) {
  Random random(8);
  for (int round = 0; round < 300; ++round) {
    Shape from, to;
    for (int axis = static_cast<int>(random.below(6)); axis > 0; --axis) {
      const std::int64_t size = random.integer(random.below(8) == 0 ? 0 : 1, 4);
      from = from.concat({size});
      to = to.concat({random.coin() ? size : 1});
    }
    to = to.slice(static_cast<int>(random.integer(0, to.rank())), to.rank());
    const Tensor x = test::uniform(random, from);
    for (const DType dtype : test::kFloatingDTypes) {
      const Tensor sums = sum_to("test", x.to(dtype), to);
      EXPECT_EQ(sums.shape(), to);
      EXPECT_EQ(sums.dtype(), dtype);
      const double tolerance = dtype == DType::kFloat32 ? 1e-4 : 1e-12;
      EXPECT_TRUE(is_close(sums, naive_sum_to(x, to), tolerance))
          << to_string(from) << " to " << to_string(to);
    }
  }
}

// By sum_rows() of a single thread, whose order it promises.
TEST(SumTo, AddsManyRowsInTheOrderOfSumRowsOnAnyNumberOfThreads) {
  Random random(9);
  for (const std::int64_t rows : {4095, 4096, 5119, 5120, 5121, 8191, 9000, 65536}) {
    for (const Shape& columns : {Shape{3}, Shape{65}, Shape{2, 7}}) {
      const Tensor x = test::uniform(random, Shape{rows}.concat(columns)).to(DType::kFloat32);
      Tensor expected = Tensor::empty(columns, DType::kFloat32);
      sum_rows(std::as_const(x).data<float>(), rows, columns.numel(), columns.numel(),
               expected.data<float>());
      for (const int threads : {1, 3}) {
        const test::WithThreads some(threads);
        EXPECT_TRUE(test::same_bits(sum_to("test", x, columns), expected)) << rows;
      }
    }
  }
  const Tensor deep = test::uniform(random, {3, 5000, 4}), sums = sum_to("test", deep, {3, 1, 4});
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(test::same_bits(sums[i].reshape({4}), sum_to("test", deep[i], {4})));
  }
}

TEST(SumTo, TheSameShapeCopiesNothing) {
  const Tensor x = make({1, 2}, {2});
  EXPECT_TRUE(sum_to("test", x, {2}).is_same_view(x));
}

TEST(SumTo, AddsNothingToZero) {
  EXPECT_THAT(to_doubles(sum_to("test", Tensor::empty({0, 3}, DType::kFloat64), {3})),
              ElementsAre(0, 0, 0));
  EXPECT_THAT(to_doubles(sum_to("test", Tensor::empty({0}, DType::kFloat32), {})), ElementsAre(0));
}

TEST(SumTo, RefusesAShapeThatWasNotBroadcast) {
  const Tensor x = Tensor::zeros({2, 3}, DType::kFloat64);
  EXPECT_EQ(error_of([&] { sum_to("add", x, {2}); }), "[add] (2,) was not broadcast to (2, 3)");
  EXPECT_EQ(error_of([&] {
              sum_to("add", x, {1, 2, 3});
            }),
            "[add] (1, 2, 3) was not broadcast to (2, 3)");
  EXPECT_EQ(error_of([] { sum_to("add", Tensor::zeros({2}, DType::kInt32), {}); }),
            "[add] does not take int32");
}

TEST(AddInto, AddsInPlace) {
  for (const DType dtype : test::kFloatingDTypes) {
    Tensor total = make({1, 2, 3}, {3}, dtype);
    const Tensor view = total;
    add_into(total, make({10, 20, 30}, {3}, dtype));
    EXPECT_THAT(to_doubles(view), ElementsAre(11, 22, 33));
  }
}

TEST(AddInto, TakesOneShapeAndOneFloatingType) {
  Tensor total = Tensor::zeros({3}, DType::kFloat64);
  EXPECT_EQ(error_of([&] { add_into(total, Tensor::zeros({2}, DType::kFloat64)); }),
            "[add_into] shapes differ: (3,) and (2,)");
  EXPECT_EQ(error_of([&] { add_into(total, Tensor::zeros({3}, DType::kFloat32)); }),
            "[tensor] holds float32, not float64");
  Tensor counts = Tensor::zeros({3}, DType::kInt64);
  EXPECT_EQ(error_of([&] { add_into(counts, counts); }), "[add_into] does not take int64");
}

}  // namespace
}  // namespace maskgrad
