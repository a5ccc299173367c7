#include <gmock/gmock.h>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::kEveryDType;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::random_bits;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

const Shape kShapes[] = {{7}, {5, 3}, {4, 2, 3}, {1, 1}, {0}, {0, 2}, {3, 0}};

std::vector<std::int64_t> places_of(const Tensor& mask) {
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < mask.numel(); ++i) {
    if (mask.data<bool>()[i]) places.push_back(i);
  }
  return places;
}

// The elements of the rows `places`, one after another.
std::vector<double> rows(const Tensor& x, const std::vector<std::int64_t>& places) {
  const auto size = static_cast<std::size_t>(x.shape().slice(1, x.rank()).numel());
  const std::vector<double> values = to_doubles(x);
  std::vector<double> result;
  for (const std::int64_t place : places) {
    const auto first = values.begin() + place * static_cast<std::ptrdiff_t>(size);
    result.insert(result.end(), first, first + static_cast<std::ptrdiff_t>(size));
  }
  return result;
}

TEST(BooleanMask, DoesWhatCaffe2sExampleDoes) {
  for (const DType dtype : kEveryDType) {
    const Variable data(make({1, 2, 3, 4, 5, 6}, {6}, dtype));
    const ops::KeptRows kept = ops::boolean_mask(data, bits({1, 0, 0, 1, 1, 0}, {6}));
    EXPECT_TRUE(same_bits(kept.output.value(), make({1, 4, 5}, {3}, dtype)));
    EXPECT_TRUE(same_bits(kept.indices, make({0, 3, 4}, {3}, DType::kInt64)));
  }
}

TEST(BooleanMask, TakesTheKeptRowsAndUnmaskFillPutsThemBack) {
  Random random(1);
  for (const Shape& shape : kShapes) {
    for (const double share : {0.0, 0.3, 0.7, 1.0}) {
      const Tensor mask = random_bits(random, {shape[0]}, share);
      const std::vector<std::int64_t> places = places_of(mask);
      const auto count = static_cast<std::int64_t>(places.size());
      for (const DType dtype : kEveryDType) {
        const Tensor data = test::uniform(random, shape, 0, 9).to(DType::kInt64).to(dtype);
        const ops::KeptRows kept = ops::boolean_mask(Variable(data), mask);
        EXPECT_TRUE(same_bits(kept.output.value(),
                              make(rows(data, places), shape.with_dim(0, count), dtype)));
        EXPECT_THAT(kept.indices.values<std::int64_t>(), ::testing::ElementsAreArray(places));

        Tensor filled = Tensor::full(shape, 1, dtype);
        for (const std::int64_t place : places) {
          const Shape row = shape.slice(1, shape.rank());
          filled.view(place * row.numel(), row).copy_from(data.view(place * row.numel(), row));
        }
        EXPECT_TRUE(same_bits(ops::unmask_fill(kept.output, mask, 1).value(), filled));
      }
    }
  }
}

TEST(BooleanMask, SendsGradientsToTheirRowsAndZeroToTheOthers) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make({1, 2, kNaN, kInf, 5, 6}, {3, 2}, dtype));
    Tape tape;
    const Variable y = ops::boolean_mask(x, bits({1, 0, 1}, {3})).output;
    tape.backward(y, make({7, kNaN, -kInf, 8}, {2, 2}, dtype));
    EXPECT_TRUE(same_bits(x.grad(), make({7, kNaN, 0, 0, -kInf, 8}, {3, 2}, dtype)));
  }
}

TEST(BooleanMask, OfNothingKeptSendsZeroBack) {
  const Variable x = leaf(make({1, 2, 3, 4}, {2, 2}));
  Tape tape;
  const Variable y = ops::boolean_mask(x, bits({0, 0}, {2})).output;
  EXPECT_EQ(y.shape(), (Shape{0, 2}));
  tape.backward(y, make({}, {0, 2}));
  EXPECT_TRUE(same_bits(x.grad(), Tensor::zeros({2, 2}, DType::kFloat64)));
}

TEST(BooleanMask, LetsTheSequenceMaskFollowThereAndBack) {
  const SequenceMask mask(bits({1, 0, 1, 1, 0, 0}, {3, 2}));
  const Variable x(make({1, kNaN, 3, 4, kNaN, kNaN}, {3, 2}), {}, mask);
  const Tensor keep = bits({1, 0, 1}, {3});
  const Variable y = ops::boolean_mask(x, keep).output;
  EXPECT_TRUE(y.mask() == SequenceMask(bits({1, 0, 0, 0}, {2, 2})));
  EXPECT_TRUE(ops::unmask_fill(y, keep).mask() == SequenceMask(bits({1, 0, 0, 0, 0, 0}, {3, 2})));
  EXPECT_FALSE(ops::boolean_mask(drop_mask(x), keep).output.mask().defined());
}

TEST(BooleanMaskLengths, CountsTheKeptPlacesOfEachSegment) {
  for (const DType dtype : {DType::kInt32, DType::kInt64}) {
    const auto counts = [&](const std::vector<double>& lengths, const std::vector<double>& mask) {
      return ops::boolean_mask_lengths(
          make(lengths, {static_cast<std::int64_t>(lengths.size())}, dtype),
          bits(mask, {static_cast<std::int64_t>(mask.size())}));
    };
    // Caffe2's example.
    EXPECT_TRUE(same_bits(counts({1, 3, 2}, {0, 1, 1, 0, 1, 1}), make({0, 2, 2}, {3}, dtype)));
    EXPECT_TRUE(same_bits(counts({0, 2, 0, 1, 0}, {1, 1, 1}), make({0, 2, 0, 1, 0}, {5}, dtype)));
    EXPECT_TRUE(same_bits(counts({}, {}), make({}, {0}, dtype)));
    EXPECT_TRUE(same_bits(counts({0}, {}), make({0}, {1}, dtype)));
  }
}

TEST(TrueCounts, CountsTheTruesOfEachRow) {
  EXPECT_THAT(to_doubles(ops::true_counts(bits({1, 0, 1, 0, 0, 0, 1, 1, 1}, {3, 3}))),
              ElementsAre(2, 0, 3));
  EXPECT_EQ(ops::true_counts(bits({}, {0, 3})).shape(), (Shape{0}));
  EXPECT_THAT(to_doubles(ops::true_counts(bits({}, {2, 0}))), ElementsAre(0, 0));
}

// A row for itself: normalised, scaled by a weight.
Variable per_row(const Variable& x, const Variable& weight, const Variable& bias) {
  return ops::square(ops::layer_norm(x, weight, bias));
}

TEST(ComputeOnKept, EqualsComputingUnderTheMask) {
  Random random(3);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const double share : {0.0, 0.5, 1.0}) {
      const Tensor mask = random_bits(random, {6}, share), g = test::uniform(random, {6, 5});
      Tensor data = test::uniform(random, {6, 5}).to(dtype), spoiled = data.clone();
      for (std::int64_t n = 0; n < 6; ++n) {
        if (!mask.data<bool>()[n]) spoiled.view(n * 5, {5}).fill(n % 2 ? kNaN : kInf);
      }
      const Tensor scales = test::uniform(random, {5}).to(dtype);
      const auto run = [&](const Tensor& input, const auto& compute) {
        const Variable x = leaf(input), weight = leaf(scales), bias = leaf(scales);
        Tape tape;
        const Variable y =
            compute(x, [&](const Variable& kept) { return per_row(kept, weight, bias); });
        tape.backward(y, g.to(dtype));
        return std::vector{y.value(), x.grad(), weight.grad(), bias.grad()};
      };
      const auto compressed = run(spoiled, [&](const Variable& x, const auto& f) {
        return ops::compute_on_kept(x, mask, f, 4);
      });
      const auto masked = run(data, [&](const Variable& x, const auto& f) {
        return ops::keep_where(f(x), mask.reshape({6, 1}), 4);
      });
      for (std::size_t i = 0; i < masked.size(); ++i) {
        EXPECT_TRUE(same_bits(compressed[i], masked[i])) << i << ", " << share << " kept";
      }
    }
  }
}

TEST(BooleanMask, RefusesAMaskThatDoesNotFit) {
  const auto error = [](const Shape& data, const Tensor& mask) {
    return error_of(
        [&] { ops::boolean_mask(Variable(Tensor::zeros(data, DType::kFloat32)), mask); });
  };
  EXPECT_EQ(error({2, 2}, bits({1, 0, 1, 0}, {2, 2})),
            "[boolean_mask] a mask must be bool [N], got bool (2, 2)");
  EXPECT_EQ(error({2}, make({1, 0}, {2}, DType::kInt32)),
            "[boolean_mask] a mask must be bool [N], got int32 (2,)");
  EXPECT_EQ(error({3, 2}, bits({1, 0}, {2})),
            "[boolean_mask] a mask of 2 places does not fit data of (3, 2)");
  EXPECT_EQ(error({}, bits({1}, {1})), "[boolean_mask] a mask of 1 places does not fit data of ()");
}

TEST(BooleanMaskLengths, RefusesLengthsThatDoNotAddUp) {
  const auto error = [](const Tensor& lengths, const Tensor& mask) {
    return error_of([&] { ops::boolean_mask_lengths(lengths, mask); });
  };
  const Tensor mask = bits({1, 0, 1}, {3});
  const auto lengths = [](const std::vector<double>& values) {
    return make(values, {static_cast<std::int64_t>(values.size())}, DType::kInt32);
  };
  EXPECT_EQ(error(lengths({1, -1, 3}), mask),
            "[boolean_mask_lengths] length -1 of segment 1 does not fit: 2 of 3 places are left");
  EXPECT_EQ(error(lengths({2, 2}), mask),
            "[boolean_mask_lengths] length 2 of segment 1 does not fit: 1 of 3 places are left");
  EXPECT_EQ(error(lengths({2}), mask),
            "[boolean_mask_lengths] the lengths add up to 2, the mask has 3");
  EXPECT_EQ(error(make({3}, {1, 1}, DType::kInt64), mask),
            "[boolean_mask_lengths] lengths must be [B], got (1, 1)");
  EXPECT_EQ(error(make({3}, {1}), mask), "[boolean_mask_lengths] does not take float64");
  EXPECT_EQ(error(lengths({1}), bits({1}, {})),
            "[boolean_mask_lengths] a mask must be bool [N], got bool ()");
}

TEST(TrueCounts, RefusesWhatIsNotATableOfBits) {
  EXPECT_EQ(error_of([] { ops::true_counts(bits({1}, {1})); }),
            "[true_counts] needs bool [N, M], got bool (1,)");
  EXPECT_EQ(error_of([] {
              ops::true_counts(make({1}, {1, 1}));
            }),
            "[true_counts] needs bool [N, M], got float64 (1, 1)");
}

}  // namespace
}  // namespace maskgrad
