#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

constexpr const char* kModes[] = {"sequence", "window", "upper", "lower", "upperdiag", "lowerdiag"};

// The rules by their definition (Caffe2's SequenceMask). `row` is lengths[i] or centers[i].
bool fills(std::string_view mode, std::int64_t i, std::int64_t j, std::int64_t row,
           std::int64_t radius) {
  if (mode == "sequence") return j >= row;
  if (mode == "window") return j < row - radius || j > row + radius;
  if (mode == "upper") return j > i;
  if (mode == "lower") return j < i;
  if (mode == "upperdiag") return j >= i;
  return j <= i;
}

// The place of an element among those of the dimensions [from, to) alone.
std::int64_t place_within(const Shape& shape, std::int64_t element, int from, int to) {
  std::int64_t place = 0, step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const std::int64_t index = element % shape[axis];
    element /= shape[axis];
    if (axis < from || axis >= to) continue;
    place += index * step;
    step *= shape[axis];
  }
  return place;
}

struct Case {
  Shape shape;
  std::string mode;
  int axis;
  std::optional<int> batch, repeat_from;
  std::int64_t radius;

  int first_row() const { return batch ? *batch + 1 : 0; }
  std::int64_t rows() const { return shape.slice(first_row(), axis).numel(); }
  bool fills_at(std::int64_t element, const std::vector<double>& of_rows) const {
    const std::int64_t i = place_within(shape, element, first_row(), axis);
    const std::int64_t j = place_within(shape, element, axis, repeat_from.value_or(shape.rank()));
    const bool takes_rows = mode == "sequence" || mode == "window";
    const double row = takes_rows ? of_rows[static_cast<std::size_t>(i)] : 0;
    return fills(mode, i, j, static_cast<std::int64_t>(row), radius);
  }
};

Case random_case(Random& random, const char* mode) {
  Case c{{}, mode, 0, {}, {}, random.integer(0, 3)};
  const auto rank = static_cast<int>(random.integer(1, 4));
  for (int axis = 0; axis < rank; ++axis) c.shape = c.shape.concat({random.integer(1, 4)});
  c.axis = static_cast<int>(random.integer(0, rank - 1));
  const bool coin = random.coin();
  if (coin && c.axis > 0) c.batch = static_cast<int>(random.integer(0, c.axis - 1));
  if (!coin && c.mode == "sequence" && c.axis + 1 < rank)
    c.repeat_from = static_cast<int>(random.integer(c.axis + 1, rank - 1));
  return c;
}

// An axis counted from either end.
std::int64_t either_end(Random& random, int axis, int rank) {
  return random.coin() ? axis : axis - rank;
}

void expect_filled_by_the_rule(const Case& c, Random& random, DType dtype) {
  const int rank = c.shape.rank();
  ops::SequenceMaskOptions options{
      .axis = either_end(random, c.axis, rank), .radius = c.radius, .fill_value = 7};
  if (c.batch) options.batch = either_end(random, *c.batch, rank);
  if (c.repeat_from) options.repeat_from_axis = either_end(random, *c.repeat_from, rank);
  Tensor of_rows;
  if (c.mode == "sequence" || c.mode == "window") {
    of_rows = test::uniform(random, {c.rows()}, -1, 9).to(DType::kInt64);
    if (random.coin()) of_rows = of_rows.to(DType::kInt32);
  }
  const std::vector<double> rows = of_rows.defined() ? to_doubles(of_rows) : std::vector<double>();
  Tensor x = test::uniform(random, c.shape).to(dtype), g = test::uniform(random, c.shape).to(dtype);
  Tensor y = x.clone(), dx = g.clone();
  for (std::int64_t element = 0; element < x.numel(); ++element) {
    if (!c.fills_at(element, rows)) continue;
    x.view(element, {}).fill(kNaN);
    g.view(element, {}).fill(element % 2 ? kNaN : kInf);
    y.view(element, {}).fill(7);
    dx.view(element, {}).fill(0);
  }
  const Variable input = leaf(x);
  Tape tape;
  const Variable output = ops::sequence_mask(input, c.mode, of_rows, options);
  EXPECT_TRUE(same_bits(output.value(), y));
  tape.backward(output, g);
  EXPECT_TRUE(same_bits(input.grad(), dx));
}

TEST(SequenceMaskOp, FillsWhereTheDefinitionSaysForEveryModeAxisBatchAndRepeat) {
  for (const char* mode : kModes) {
    Random random(1, stream_of(mode));
    for (int i = 0; i < 200; ++i) {
      const Case c = random_case(random, mode);
      SCOPED_TRACE(fmt::format("{} {} axis {} batch {} repeat {}", mode, c.shape, c.axis,
                               c.batch.value_or(-1), c.repeat_from.value_or(-1)));
      expect_filled_by_the_rule(c, random, i % 2 ? DType::kFloat32 : DType::kFloat64);
    }
  }
}

TEST(SequenceMaskOp, DrawsEachMode) {
  const Tensor lengths = make({0, 1, 3}, {3}, DType::kInt64);
  const std::pair<const char*, std::vector<double>> cases[] = {
      {"sequence", {0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0}},  // lengths 0, 1, 3
      {"window", {1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1}},    // centers 0, 1, 3, radius 1
      {"upper", {1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0}},
      {"lower", {1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1}},
      {"upperdiag", {0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0}},
      {"lowerdiag", {0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1}},
  };
  for (const auto& [mode, kept] : cases) {
    const bool takes_rows = std::string_view(mode) == "sequence" || mode[0] == 'w';
    const Variable ones(Tensor::full({3, 4}, 1, DType::kFloat32));
    const Variable y = ops::sequence_mask(ones, mode, takes_rows ? lengths : Tensor(),
                                          {.radius = 1, .fill_value = 0});
    EXPECT_THAT(to_doubles(y.value()), ::testing::ElementsAreArray(kept)) << mode;
  }
}

TEST(SequenceMaskOp, FillsWithMinusInfinityAndSeesTenPlacesAroundUnlessTold) {
  const Variable x(Tensor::zeros({1, 30}, DType::kFloat64));
  const std::vector<double> y =
      to_doubles(ops::sequence_mask(x, "window", make({15}, {1}, DType::kInt64)).value());
  for (std::size_t j = 0; j < y.size(); ++j) EXPECT_EQ(y[j], j < 5 || j > 25 ? -kInf : 0) << j;
}

TEST(SequenceMaskOp, TakesARadiusThatReachesBeyondEverything) {
  const Variable x(make({1, 2, 3}, {1, 3}));
  const Tensor centers = make({2}, {1}, DType::kInt64);
  const auto largest = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT(to_doubles(ops::sequence_mask(x, "window", centers, {.radius = largest}).value()),
              ElementsAre(1, 2, 3));
}

TEST(SequenceMaskOp, SeesNothingFromACenterThatIsFarAway) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min(),
                 kMost = std::numeric_limits<std::int64_t>::max();
  const Variable x(make({1, 2, 3}, {1, 3}));
  const auto kept = [&](std::int64_t center, std::int64_t radius) {
    const Tensor centers = Tensor::from({center}, {1});
    return to_doubles(
        ops::sequence_mask(x, "window", centers, {.radius = radius, .fill_value = 0}).value());
  };
  for (const std::int64_t center : {kLeast, kLeast + 1, kMost}) {
    EXPECT_THAT(kept(center, 0), ElementsAre(0, 0, 0)) << center;
    EXPECT_THAT(kept(center, 1000), ElementsAre(0, 0, 0)) << center;
  }
  EXPECT_THAT(kept(kMost, kMost), ElementsAre(1, 2, 3));
  EXPECT_THAT(kept(kMost, kMost - 1), ElementsAre(0, 2, 3));
  EXPECT_THAT(kept(-kMost, kMost), ElementsAre(1, 0, 0));
  EXPECT_THAT(kept(kLeast, kMost), ElementsAre(0, 0, 0)) << "which is 2^63 away from place 0";
  const ops::Window negative{Tensor::from({std::int64_t{0}}, {1}), -1};
  EXPECT_TRUE(negative.fills(0, 0));
}

TEST(SequenceMaskOp, FillsByLengthsOfAnySize) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min(),
                 kMost = std::numeric_limits<std::int64_t>::max();
  const Variable x(make({1, 2, 3, 4}, {2, 2}));
  const Tensor lengths = Tensor::from({kLeast, kMost}, {2});
  EXPECT_THAT(to_doubles(ops::sequence_mask(x, "sequence", lengths, {.fill_value = 0}).value()),
              ElementsAre(0, 0, 3, 4));
}

TEST(SequenceMaskOp, KeepsTheMaskOfItsInputAndTakesNothing) {
  const SequenceMask mask(test::bits({1, 0, 1}, {1, 3}));
  EXPECT_TRUE(ops::sequence_mask(Variable(make({1, 2, 3}, {1, 3}), {}, mask), "upper", {}).mask() ==
              mask);
  for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}, Shape{0, 0}}) {
    for (const char* mode : kModes) {
      const bool takes_rows = mode[0] == 's' || mode[0] == 'w';
      const Tensor rows = takes_rows ? Tensor::zeros({shape[0]}, DType::kInt64) : Tensor();
      const Variable x(Tensor::zeros(shape, DType::kFloat32));
      EXPECT_EQ(ops::sequence_mask(x, mode, rows).shape(), shape) << mode;
    }
  }
}

struct Checkers {
  std::int64_t size;
  bool fills(std::int64_t i, std::int64_t j) const { return (i / size + j / size) % 2 == 1; }
};

TEST(FillWhere, TakesAFunctorOfTheUsersOwn) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make({1, kNaN, 3, kInf, 5, kNaN, 7, 8, -kInf, 10, kNaN, 12,
                                  1, kNaN, 3, kInf, 5, kNaN, 7, 8, -kInf, 10, kNaN, 12},
                                 {2, 3, 4}, dtype));
    Tape tape;
    const ops::MaskLayout layout = ops::mask_layout("checkers", x.shape(), -1, 0);
    const Variable y = ops::fill_where(x, Checkers{1}, layout, 0);
    const std::vector<double> one = {1, 0, 3, 0, 0, kNaN, 0, 8, -kInf, 0, kNaN, 0};
    std::vector<double> both = one;
    both.insert(both.end(), one.begin(), one.end());
    EXPECT_TRUE(same_bits(y.value(), make(both, {2, 3, 4}, dtype)));
    tape.backward(y, x.value());
    EXPECT_TRUE(same_bits(x.grad(), make(both, {2, 3, 4}, dtype)));
  }
}

TEST(FillWhere, RepeatsOneDecisionAndFillsWithMinusInfinityUnlessTold) {
  const Variable x(make({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2}));
  const ops::MaskLayout layout = ops::mask_layout("checkers", x.shape(), 1, {}, 2);
  EXPECT_THAT(to_doubles(ops::fill_where(x, Checkers{1}, layout).value()),
              ElementsAre(1, 2, -kInf, -kInf, -kInf, -kInf, 7, 8));
  EXPECT_THAT(to_doubles(ops::fill_where(x, Checkers{2}, layout).value()),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

}  // namespace
}  // namespace maskgrad
