#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/shape/segments.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kEveryDType;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

constexpr DType kIntegers[] = {DType::kInt32, DType::kInt64};

Tensor lengths_of(const std::vector<std::int64_t>& lengths, DType dtype = DType::kInt64) {
  return Tensor::from(std::span(lengths), {static_cast<std::int64_t>(lengths.size())}).to(dtype);
}

// Whole numbers, so that every dtype can hold them.
Tensor numbers(Random& random, const Shape& shape, DType dtype) {
  return test::uniform(random, shape, 0, 9).to(DType::kInt64).to(dtype);
}

// y[t, b] = x[lengths[b] - 1 - t, b] for t < lengths[b], x[t, b] after that.
Tensor reversed(const Tensor& x, const std::vector<std::int64_t>& lengths, bool batch_first) {
  const std::int64_t steps = x.dim(batch_first ? 1 : 0), batch = x.dim(batch_first ? 0 : 1);
  const Shape row = x.shape().slice(2, x.rank());
  const auto at = [&](std::int64_t t, std::int64_t b) {
    return (batch_first ? b * steps + t : t * batch + b) * row.numel();
  };
  Tensor y = Tensor::zeros(x.shape(), x.dtype());
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t length = lengths[static_cast<std::size_t>(b)];
    for (std::int64_t t = 0; t < steps; ++t) {
      y.view(at(t, b), row).copy_from(x.view(at(t < length ? length - 1 - t : t, b), row));
    }
  }
  return y;
}

struct Batch {
  std::int64_t steps;
  std::vector<std::int64_t> lengths;
  Shape row;

  Shape shape(bool batch_first) const {
    const auto batch = static_cast<std::int64_t>(lengths.size());
    return (batch_first ? Shape{batch, steps} : Shape{steps, batch}).concat(row);
  }
};
const Batch kBatches[] = {{5, {5, 0, 1, 3}, {}}, {4, {2, 4}, {3}}, {3, {3}, {2, 2}},
                          {1, {0, 1}, {1}},      {0, {0, 0}, {2}}, {3, {}, {2}},
                          {2, {1, 2}, {0}}};

TEST(ReversePackedSegs, TurnsEachSequenceAroundAndLeavesPadding) {
  Random random(1);
  for (const Batch& batch : kBatches) {
    for (const bool batch_first : {false, true}) {
      for (const DType dtype : kEveryDType) {
        const Tensor x = numbers(random, batch.shape(batch_first), dtype);
        for (const DType integer : kIntegers) {
          const Tensor lengths = lengths_of(batch.lengths, integer);
          const Variable y = ops::reverse_packed_segs(Variable(x), lengths, batch_first);
          EXPECT_TRUE(same_bits(y.value(), reversed(x, batch.lengths, batch_first)));
          EXPECT_TRUE(same_bits(ops::reverse_packed_segs(y, lengths, batch_first).value(), x));
        }
      }
    }
  }
}

TEST(ReversePackedSegs, TakesStepsFirstUnlessTold) {
  const Variable x(make({1, 10, 2, 20, 3, 30}, {3, 2}));
  EXPECT_THAT(to_doubles(ops::reverse_packed_segs(x, lengths_of({3, 2})).value()),
              ElementsAre(3, 20, 2, 10, 1, 30));
}

TEST(ReversePackedSegs, TurnsTheGradientAroundToo) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor g = make({kNaN, 2, 3, 4, 5, 6, kInf, 8}, {2, 4}, dtype);
    const Variable x = leaf(make({1, kNaN, 3, 4, 5, 6, 7, -kInf}, {2, 4}, dtype));
    Tape tape;
    const Variable y = ops::reverse_packed_segs(x, lengths_of({4, 3}), true);
    tape.backward(y, g);
    EXPECT_TRUE(same_bits(y.value(), make({4, 3, kNaN, 1, 7, 6, 5, -kInf}, {2, 4}, dtype)));
    EXPECT_TRUE(same_bits(x.grad(), make({4, 3, 2, kNaN, kInf, 6, 5, 8}, {2, 4}, dtype)));
  }
}

TEST(ReversePackedSegs, TurnsTheMaskAroundToo) {
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 1, 0, 0}, {2, 4}));
  const Variable x = leaf(make({1, kNaN, 3, 4, 5, 6, kNaN, kNaN}, {2, 4}), mask);
  Tape tape;
  const Variable y = ops::reverse_packed_segs(x, lengths_of({4, 2}), true);
  EXPECT_TRUE(y.mask() == SequenceMask(test::bits({1, 1, 0, 1, 1, 1, 0, 0}, {2, 4})));
  EXPECT_TRUE(ops::reverse_packed_segs(y, lengths_of({4, 2}), true).mask() == mask);
  tape.backward(y, make({1, 2, kNaN, 4, 5, 6, kInf, kNaN}, {2, 4}));
  EXPECT_TRUE(same_bits(x.grad(), make({4, 0, 2, 1, 6, 5, 0, 0}, {2, 4})));
}

TEST(ReversePackedSegs, RefusesLengthsThatDoNotFit) {
  const auto error = [](const Shape& shape, const Tensor& lengths, bool batch_first = false) {
    const Variable x(Tensor::zeros(shape, DType::kFloat32));
    return error_of([&] { ops::reverse_packed_segs(x, lengths, batch_first); });
  };
  const std::string starts = "[reverse_packed_segs] ";
  EXPECT_EQ(error({4}, lengths_of({4})), starts + "needs [T, B, ...], got (4,)");
  EXPECT_EQ(error({}, lengths_of({4}), true), starts + "needs [B, T, ...], got ()");
  EXPECT_EQ(error({4, 2}, lengths_of({1, -2})), starts + "length -2 of sequence 1 is negative");
  EXPECT_EQ(error({4, 2}, lengths_of({5, 2})),
            starts + "length 5 of sequence 0 is more than the 4 steps");
  EXPECT_EQ(error({4, 2}, lengths_of({3, 1, 1})), starts + "3 lengths do not fit a batch of 2");
  EXPECT_EQ(error({4, 2}, lengths_of({2, 1}), true), starts + "2 lengths do not fit a batch of 4");
  EXPECT_EQ(error({4, 2}, make({1, 1}, {1, 2}, DType::kInt64)),
            starts + "lengths must be one-dimensional, got (1, 2)");
  EXPECT_EQ(error({4, 2}, make({1, 1}, {2})),
            starts + "lengths are float64, they must be int32 or int64");
  const Variable masked(make({1, 2}, {1, 2}), {}, SequenceMask(test::bits({1, 0}, {1, 2})));
  EXPECT_EQ(error_of([&] {
              ops::reverse_packed_segs(masked, lengths_of({1, 0}));
            }),
            starts + "a mask [B, S] has no place on [T, B, ...]; use batch_first");
}

// The rows of the segments, last segment first.
Tensor in_reverse_order(const Tensor& x, const std::vector<std::int64_t>& lengths) {
  const std::int64_t size = x.shape().slice(1, x.rank()).numel();
  Tensor y = Tensor::zeros(x.shape(), x.dtype());
  std::int64_t end = x.numel(), start = 0;
  for (const std::int64_t length : lengths) {
    end -= length * size;
    y.view(end, {length * size}).copy_from(x.view(start, {length * size}));
    start += length * size;
  }
  return y;
}

const std::pair<std::vector<std::int64_t>, Shape> kSegments[] = {
    {{1, 3, 2}, {}}, {{0, 4, 0, 1}, {3}}, {{5}, {2, 2}}, {{}, {3}}, {{0, 0}, {}}, {{2, 1}, {0}}};

TEST(ReverseSegmentOrder, MovesWholeSegmentsAndIsUndoneByTheReversedLengths) {
  Random random(2);
  for (const auto& [each, row] : kSegments) {
    std::int64_t total = 0;
    for (const std::int64_t length : each) total += length;
    const std::vector<std::int64_t> backwards(each.rbegin(), each.rend());
    for (const DType dtype : kEveryDType) {
      const Tensor x = numbers(random, Shape{total}.concat(row), dtype);
      for (const DType integer : kIntegers) {
        const auto y = ops::reverse_segment_order(Variable(x), lengths_of(each, integer));
        EXPECT_TRUE(same_bits(y.output.value(), in_reverse_order(x, each)));
        EXPECT_TRUE(same_bits(y.lengths, lengths_of(backwards, integer)));
        const auto again = ops::reverse_segment_order(y.output, y.lengths);
        EXPECT_TRUE(same_bits(again.output.value(), x));
        EXPECT_TRUE(same_bits(again.lengths, lengths_of(each, integer)));
      }
    }
  }
}

TEST(ReverseSegmentOrder, SendsTheGradientBackInTheOrderItCameFrom) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make({1, kNaN, 3, 4}, {4}, dtype));
    Tape tape;
    const Variable y = ops::reverse_segment_order(x, lengths_of({1, 3})).output;
    tape.backward(y, make({1, 2, kNaN, kInf}, {4}, dtype));
    EXPECT_TRUE(same_bits(y.value(), make({kNaN, 3, 4, 1}, {4}, dtype)));
    EXPECT_TRUE(same_bits(x.grad(), make({kInf, 1, 2, kNaN}, {4}, dtype)));
  }
}

TEST(ReverseSegmentOrder, RefusesLengthsThatDoNotFit) {
  const auto error = [](const Shape& shape, const Tensor& lengths) {
    const Variable x(Tensor::zeros(shape, DType::kFloat32));
    return error_of([&] { ops::reverse_segment_order(x, lengths); });
  };
  const std::string starts = "[reverse_segment_order] ";
  EXPECT_EQ(error({}, lengths_of({1})), starts + "needs [N, ...], got a scalar");
  EXPECT_EQ(error({3, 2}, lengths_of({1, 1})),
            starts + "the lengths add up to 2, the data has 3 rows");
  EXPECT_EQ(error({3}, lengths_of({4, -1})), starts + "length -1 of sequence 1 is negative");
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(error({0, 2}, Tensor::from({kMost, kMost, std::int64_t{2}}, {3})),
            starts +
                "the sum of the lengths: 9223372036854775807 + 9223372036854775807 does not "
                "fit 64 bits");
  EXPECT_EQ(error({1}, Tensor::from({kMost, std::int64_t{1}}, {2})),
            starts + "the sum of the lengths: 9223372036854775807 + 1 does not fit 64 bits");
  EXPECT_EQ(error({1}, Tensor::from({kMost}, {1})),
            starts + "the lengths add up to 9223372036854775807, the data has 1 rows");
  EXPECT_EQ(error({3}, make({3}, {1}, DType::kBool)),
            starts + "lengths are bool, they must be int32 or int64");
  EXPECT_EQ(error({3}, make({3}, {}, DType::kInt64)),
            starts + "lengths must be one-dimensional, got ()");
  const Variable masked(make({1, 2}, {2, 1}), {}, SequenceMask(test::bits({1, 0}, {2, 1})));
  EXPECT_EQ(error_of([&] { ops::reverse_segment_order(masked, lengths_of({2})); }),
            starts + "a mask [B, S] has no place on segments [N, ...]; drop_mask() it");
}

}  // namespace
}  // namespace maskgrad
