#include <gmock/gmock.h>

#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/pool.hpp>

#include "support/errors.hpp"
#include "support/limited_memory.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::is_close;
using test::kNaN;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

Tensor ids(const std::vector<double>& values, const Shape& shape, DType dtype = DType::kInt64) {
  return make(values, shape, dtype);
}

// By the formula of the header, in double.
struct Expected {
  std::vector<double> y, dx;
};
Expected by_definition(const Tensor& x, int axis, const Tensor& indices, bool is_gather,
                       const Tensor& g) {
  Expected expected{{}, std::vector<double>(static_cast<std::size_t>(x.numel()))};
  const std::int64_t inner = x.shape().slice(axis + 1, x.rank()).numel(), along = x.dim(axis),
                     count = is_gather ? indices.dim(axis) : indices.numel();
  const auto in = to_doubles(x), at = to_doubles(indices), arriving = to_doubles(g);
  for (std::int64_t i = 0; i < g.numel(); ++i) {
    const std::int64_t outer = i / (count * inner), k = i / inner % count;
    const double index = at[static_cast<std::size_t>(is_gather ? i : k)];
    const auto from = static_cast<std::size_t>(
        (outer * along + static_cast<std::int64_t>(index)) * inner + i % inner);
    expected.y.push_back(in[from]);
    expected.dx[from] += arriving[static_cast<std::size_t>(i)];
  }
  return expected;
}

TEST(IndexSelect, FollowsItsFormulaAlongEveryAxis) {
  Random random(1);
  for (const Shape& shape : {Shape{7}, Shape{4, 3}, Shape{2, 3, 5}, Shape{3, 40, 20}}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      for (const std::int64_t count : {0, 1, 90}) {
        Tensor indices = Tensor::empty({count}, DType::kInt64);
        std::generate_n(indices.data<std::int64_t>(), count,
                        [&] { return random.integer(0, shape[axis] - 1); });
        const Variable x = leaf(test::uniform(random, shape));
        const Tensor g = test::uniform(random, shape.with_dim(axis, count));
        Tape tape;
        const Variable y = ops::index_select(x, axis, indices);
        ASSERT_EQ(y.shape(), g.shape());
        tape.backward(y, g);
        const Expected expected = by_definition(x.value(), axis, indices, false, g);
        EXPECT_EQ(to_doubles(y.value()), expected.y);
        EXPECT_TRUE(is_close(x.grad(), expected.dx)) << to_string(shape) << " along " << axis;
      }
    }
  }
}

TEST(Gather, FollowsItsFormulaAlongEveryAxis) {
  Random random(2);
  for (const Shape& shape : {Shape{7}, Shape{4, 3}, Shape{2, 3, 5}, Shape{3, 40, 20}}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      for (const std::int64_t count : {0, 1, 9}) {
        Tensor indices = Tensor::empty(shape.with_dim(axis, count), DType::kInt64);
        std::generate_n(indices.data<std::int64_t>(), indices.numel(),
                        [&] { return random.integer(0, shape[axis] - 1); });
        const Variable x = leaf(test::uniform(random, shape));
        const Tensor g = test::uniform(random, indices.shape());
        Tape tape;
        const Variable y = ops::gather(x, axis, indices);
        ASSERT_EQ(y.shape(), g.shape());
        tape.backward(y, g);
        const Expected expected = by_definition(x.value(), axis, indices, true, g);
        EXPECT_EQ(to_doubles(y.value()), expected.y);
        EXPECT_TRUE(is_close(x.grad(), expected.dx)) << to_string(shape) << " along " << axis;
      }
    }
  }
}

TEST(IndexSelect, TakesValuesAndIndicesOfEveryDtype) {
  for (const DType dtype : {DType::kFloat32, DType::kInt32, DType::kInt64}) {
    for (const DType of_ids : {DType::kInt32, DType::kInt64}) {
      const Variable x(make({10, 20, 30}, {3}, dtype));
      EXPECT_THAT(to_doubles(ops::index_select(x, 0, ids({2, 0, 2}, {3}, of_ids)).value()),
                  ElementsAre(30, 10, 30));
    }
  }
}

// One sum of so many terms in float32 would lose three digits.
TEST(IndexSelect, AddsManyTermsOfOneEntryWithoutLosingThem) {
  constexpr std::int64_t kMany = 1 << 18;
  const Variable x = leaf(Tensor::zeros({2}, DType::kFloat32));
  Tape tape;
  const Variable y = ops::index_select(x, 0, Tensor::zeros({kMany}, DType::kInt64));
  tape.backward(y, Tensor::full({kMany}, 0.1, DType::kFloat32));
  EXPECT_NEAR(to_doubles(x.grad())[0], 0.1F * kMany, 1e-6 * kMany * 0.1);
  EXPECT_EQ(to_doubles(x.grad())[1], 0);
}

TEST(IndexSelect, GivesTheSameBitsOnAnyNumberOfThreads) {
  Random random(3);
  Tensor indices = Tensor::empty({200}, DType::kInt64);
  std::generate_n(indices.data<std::int64_t>(), 200, [&] { return random.integer(0, 49); });
  const Tensor value = test::uniform(random, {8, 50, 70}).to(DType::kFloat32);
  const Tensor g = test::uniform(random, {8, 200, 70}).to(DType::kFloat32);
  const auto run = [&] {
    const Variable x = leaf(value);
    Tape tape;
    const Variable y = ops::index_select(x, 1, indices);
    tape.backward(y, g);
    return std::pair(y.value(), x.grad());
  };
  const auto one = run();
  const test::WithThreads three(3);
  const auto many = run();
  EXPECT_TRUE(same_bits(many.first, one.first));
  EXPECT_TRUE(same_bits(many.second, one.second));
}

// A table of 3 * 2^30 rows would not fit the memory.
TEST(IndexSelect, MakesNoTableWhereTheResultHasNoElements) {
  const Variable x = leaf(Tensor::zeros({std::int64_t{1} << 30, 5, 0}, DType::kFloat32));
  const test::LimitedMemory memory(rlim_t{64} << 20);
  Tape tape;
  const Variable y = ops::index_select(x, 1, ids({4, 0, 4}, {3}));
  EXPECT_EQ(y.shape(), (Shape{std::int64_t{1} << 30, 3, 0}));
  tape.backward(y, y.value());
  EXPECT_EQ(x.grad().shape(), x.shape());
  EXPECT_EQ(error_of([&] { ops::index_select(x, 1, ids({5}, {1})); }),
            "[index_select] index 5 at element 0 is outside the 5 entries of axis 1 of "
            "(1073741824, 5, 0)");
}

TEST(IndexSelect, ChecksIndicesBeforeItTakesMemory) {
  const Variable x(Tensor::zeros({std::int64_t{1} << 50, 0}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { ops::index_select(x, 1, ids({0}, {1})); }),
            "[index_select] index 0 at element 0 is outside the 0 entries of axis 1 of "
            "(1125899906842624, 0)");
}

// The result, and 8 bytes for each index; the gradient and the marks of a proof use the same. The
// pool rounds sizes up by a quarter at most.
TEST(IndexSelect, HoldsOneTableOfRows) {
  constexpr std::int64_t kMany = 1 << 20;
  const Variable x = leaf(Tensor::zeros({4}, DType::kFloat32));
  const Tensor indices = Tensor::zeros({kMany}, DType::kInt32);
  Tape tape;
  const std::size_t before = Pool::cpu().stats().bytes_in_use;
  const Variable y = ops::index_select(x, 0, indices);
  EXPECT_LT(Pool::cpu().stats().bytes_in_use - before, (4 + 8) * kMany * 5 / 4 + 4096);
}

TEST(IndexSelect, TakesTheBitsOfAMaskAndKeepsItAlongLaterAxes) {
  const SequenceMask mask(bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  const Variable x(Tensor::zeros({2, 3, 4}, DType::kFloat32), Variable::kConstant, mask);
  EXPECT_TRUE(ops::index_select(x, 2, ids({3, 3}, {2})).mask() == mask);
  EXPECT_TRUE(ops::index_select(x, 1, ids({2, 0, 1, 1}, {4})).mask() ==
              SequenceMask(bits({1, 1, 0, 0, 0, 1, 1, 1}, {2, 4})));
  EXPECT_TRUE(ops::index_select(x, 0, ids({1}, {1})).mask() ==
              SequenceMask(bits({1, 1, 0}, {1, 3})));
}

TEST(Gather, ReadsNoIndexInAHoleOfTheMaskAndGivesZeroThere) {
  const SequenceMask mask(bits({1, 0}, {1, 2}));
  const Variable x = leaf(make({1, 2, kNaN, kNaN}, {1, 2, 2}), mask);
  Tape tape;
  const Variable y = ops::gather(x, 2, ids({1, -7}, {1, 2, 1}));
  EXPECT_TRUE(y.mask() == mask);
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(2, 0));
  tape.backward(y, make({5, kNaN}, {1, 2, 1}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, 5, 0, 0));
}

TEST(Gather, RefusesToMoveThePositionsOfAMask) {
  const Variable x(make({1, 2}, {1, 2}), Variable::kConstant, SequenceMask(bits({1, 0}, {1, 2})));
  EXPECT_EQ(error_of([&] {
              ops::gather(x, 1, ids({0, 0}, {1, 2}));
            }),
            "[gather] would move the positions of the mask along axis 1; use index_select(), or "
            "drop_mask() on purpose");
}

TEST(IndexSelectAndGather, RefuseWhatDoesNotFit) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  EXPECT_EQ(error_of([&] {
              ops::index_select(x, 1, ids({0, 3}, {2}));
            }),
            "[index_select] index 3 at element 1 is outside the 3 entries of axis 1 of (2, 3)");
  EXPECT_EQ(error_of([&] { ops::index_select(x, -2, ids({-1}, {1})); }),
            "[index_select] index -1 at element 0 is outside the 2 entries of axis 0 of (2, 3)");
  EXPECT_EQ(error_of([&] {
              ops::index_select(x, 0, ids({0}, {1, 1}));
            }),
            "[index_select] indices must be [K], got (1, 1)");
  EXPECT_EQ(error_of([&] { ops::index_select(x, 0, make({0}, {1})); }),
            "[index_select] does not take float64");
  EXPECT_EQ(error_of([&] {
              ops::gather(x, 1, ids({0, 1, 3, 0}, {2, 2}));
            }),
            "[gather] index 3 at element 2 is outside the 3 entries of axis 1 of (2, 3)");
  EXPECT_EQ(error_of([&] {
              ops::gather(x, 1, ids({0}, {1, 1}));
            }),
            "[gather] indices (1, 1) must have the sizes of (2, 3) except along axis 1");
  EXPECT_EQ(error_of([&] { ops::gather(x, 0, ids({0}, {1})); }),
            "[gather] indices (1,) must have the sizes of (2, 3) except along axis 0");
}

}  // namespace
}  // namespace maskgrad
