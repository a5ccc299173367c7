#include <gmock/gmock.h>

#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::random_bits;
using test::same_bits;
using test::to_doubles;
using Values = std::vector<double>;

using Function = Variable (*)(const Variable&, const Tensor&, std::int64_t, bool);
const std::pair<std::string, Function> kBoth[] = {{"masked_mean", ops::masked_mean},
                                                  {"masked_max", ops::masked_max}};

struct BothWays {
  Tensor y, dx;
};

BothWays run(Function function, const Tensor& x, const Tensor& keep, std::int64_t axis,
             const Tensor& grad_output, bool keepdims = false) {
  const Variable input = leaf(x);
  Tape tape;
  const Variable y = function(input, keep, axis, keepdims);
  tape.backward(y, grad_output);
  return {y.value(), input.grad()};
}

struct Case {
  Shape x, keep;
  int axis;

  Shape result(bool keepdims) const {
    if (keepdims) return x.with_dim(axis, 1);
    return x.slice(0, axis).concat(x.slice(axis + 1, x.rank()));
  }
};
const Case kCases[] = {{{9}, {9}, 0},
                       {{9}, {1}, 0},
                       {{4, 5}, {4, 5}, 0},
                       {{4, 5}, {5}, 1},
                       {{4, 5}, {4, 1}, 1},
                       {{2, 5, 3}, {2, 5, 1}, 1},
                       {{2, 5, 3}, {5, 3}, 0},
                       {{2, 5, 3}, {}, 2},
                       {{2, 3, 2, 4}, {2, 3, 2, 4}, 2},
                       {{3, 0}, {3, 0}, 1},
                       {{0, 3}, {0, 3}, 1},
                       {{0, 3}, {3}, 0},
                       {{3, 1, 2}, {3, 1, 2}, 1}};

// The kept places along the axis of result i, in order.
std::vector<std::size_t> kept_places(const Case& c, const std::vector<double>& keep,
                                     std::int64_t i) {
  const std::int64_t along = c.x[c.axis], inner = c.x.slice(c.axis + 1, c.x.rank()).numel();
  std::vector<std::size_t> places;
  for (std::int64_t j = 0; j < along; ++j) {
    const auto place = static_cast<std::size_t>((i / inner * along + j) * inner + i % inner);
    if (keep[place] != 0) places.push_back(place);
  }
  return places;
}

// Fills what is not kept with NaN, computes by `function` and by the definition, and compares.
// `expected(x, places, g, dx)` gives a result and adds to dx.
template <class Expected>
void expect_by_definition(Function function, const Case& c, Random& random, DType dtype,
                          Expected expected) {
  const Tensor keep = random_bits(random, c.keep, 0.6);
  const std::vector<double> kept = to_doubles(ops::expand(keep, c.x));
  Tensor x = test::uniform(random, c.x).to(dtype);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] == 0) x.view(static_cast<std::int64_t>(i), {}).fill(i % 2 ? kNaN : kInf);
  }
  for (const bool keepdims : {false, true}) {
    const Tensor g = test::uniform(random, c.result(keepdims)).to(dtype);
    const std::int64_t axis = keepdims ? c.axis : c.axis - c.x.rank();
    const BothWays got = run(function, x, keep, axis, g, keepdims);
    EXPECT_EQ(got.y.shape(), c.result(keepdims));
    std::vector<double> y, dx(kept.size());
    for (std::int64_t i = 0; i < g.numel(); ++i) {
      const double grad = to_doubles(g)[static_cast<std::size_t>(i)];
      y.push_back(expected(to_doubles(x), kept_places(c, kept, i), grad, dx));
    }
    EXPECT_TRUE(is_close(got.y, y)) << to_string(c.x) << " " << to_string(c.keep);
    EXPECT_TRUE(is_close(got.dx, dx)) << to_string(c.x) << " " << to_string(c.keep);
  }
}

TEST(MaskedMean, IsTheMeanOfTheKeptPlacesAndSharesItsGradientAmongThem) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Case& c : kCases) {
      expect_by_definition(ops::masked_mean, c, random, dtype,
                           [](const auto& x, const auto& places, double g, auto& dx) {
                             const auto count = static_cast<double>(places.size());
                             double sum = 0;
                             for (const std::size_t place : places) {
                               sum += x[place];
                               dx[place] += g / count;
                             }
                             return places.empty() ? 0 : sum / count;
                           });
    }
  }
}

TEST(MaskedMax, IsTheLargestOfTheKeptPlacesAndSendsItsGradientThere) {
  Random random(2);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Case& c : kCases) {
      expect_by_definition(ops::masked_max, c, random, dtype,
                           [](const auto& x, const auto& places, double g, auto& dx) {
                             if (places.empty()) return 0.0;
                             std::size_t best = places.front();
                             for (const std::size_t place : places) {
                               if (x[place] > x[best]) best = place;
                             }
                             dx[best] += g;
                             return x[best];
                           });
    }
  }
}

TEST(MaskedMax, GivesTheGradientToTheFirstOfEqualOnesAndLetsNaNWin) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = make({5, -1, -1, -2, 1, kNaN, kInf, kNaN, -kInf, -kInf, 7, 7}, {3, 4}, dtype);
    const Tensor keep = bits({0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}, {3, 4});
    const BothWays got = run(ops::masked_max, x, keep, 1, make({1, 2, 3}, {3}, dtype));
    EXPECT_TRUE(is_close(got.y, {-1, kNaN, -kInf}));
    EXPECT_TRUE(same_bits(got.dx, make({0, 1, 0, 0, 0, 2, 0, 0, 3, 0, 0, 0}, {3, 4}, dtype)));
  }
}

TEST(MaskedReduce, OverNothingIsExactlyZeroBothWays) {
  for (const auto& [name, function] : kBoth) {
    for (const DType dtype : test::kFloatingDTypes) {
      const BothWays got = run(function, make({kNaN, kInf, -1, 1, -2, -3}, {2, 3}, dtype),
                               bits({0, 0, 0, 0, 1, 1}, {2, 3}), 1, make({kNaN, 1}, {2}, dtype));
      EXPECT_TRUE(same_bits(got.y.view(0, {1}), Tensor::zeros({1}, dtype))) << name;
      EXPECT_LT(to_doubles(got.y)[1], 0) << name;
      EXPECT_TRUE(same_bits(got.dx.view(0, {4}), Tensor::zeros({4}, dtype))) << name;
      const BothWays none = run(function, make({kNaN, kInf}, {2, 1}, dtype), bits({0}, {}), 0,
                                make({-kInf}, {1}, dtype));
      EXPECT_TRUE(same_bits(none.y, Tensor::zeros({1}, dtype))) << name;
      EXPECT_TRUE(same_bits(none.dx, Tensor::zeros({2, 1}, dtype))) << name;
    }
  }
}

// x [B, S, D] with `extra` positions of NaN at the end of each of its sequences.
Tensor padded(const Tensor& x, std::int64_t extra) {
  const std::int64_t batch = x.dim(0), row = x.dim(1) * x.dim(2);
  Tensor y = Tensor::full({batch, x.dim(1) + extra, x.dim(2)}, kNaN, x.dtype());
  for (std::int64_t b = 0; b < batch; ++b) {
    y.view(b * (row + extra * x.dim(2)), {row}).copy_from(x.view(b * row, {row}));
  }
  return y;
}

TEST(MaskedReduce, GivesTheSameBitsWhenSequencesArePadded) {
  Random random(3);
  for (const auto& [name, function] : kBoth) {
    for (const DType dtype : test::kFloatingDTypes) {
      for (const std::int64_t length : {1, 7, 16, 33}) {
        const Tensor x = test::uniform(random, {2, length, 3}).to(dtype);
        const Tensor g = test::uniform(random, {2, 3}).to(dtype);
        const BothWays alone = run(function, x, bits({1}, {}), 1, g);
        for (const std::int64_t extra : {1, 5, 40}) {
          Tensor keep = Tensor::zeros({length + extra, 1}, DType::kBool);
          keep.view(0, {length}).fill(1);
          const BothWays more = run(function, padded(x, extra), keep, 1, g);
          EXPECT_TRUE(same_bits(more.y, alone.y)) << name << " " << length << " + " << extra;
          for (const std::int64_t b : {0, 1}) {
            EXPECT_TRUE(same_bits(more.dx.view(b * (length + extra) * 3, {length, 3}),
                                  alone.dx.view(b * length * 3, {length, 3})))
                << name << " " << length << " + " << extra;
          }
        }
      }
    }
  }
}

TEST(MaskedReduce, LeavesOutTheHolesOfTheInputsOwnMask) {
  const SequenceMask mask(bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  const Tensor x = make({1, 2, kNaN, 9, 3, 3, 4, -4, 5, 5, kInf, 8}, {2, 3, 2});
  for (const auto& [name, function] : kBoth) {
    const bool is_mean = name == "masked_mean";
    const Variable input = leaf(x, mask);
    Tape tape;
    const Variable over_positions = function(input, bits({1, 1, 1, 0, 1, 1}, {3, 2}), 1, true);
    EXPECT_FALSE(over_positions.mask().defined());
    EXPECT_EQ(over_positions.shape(), (Shape{2, 1, 2}));
    EXPECT_EQ(to_doubles(over_positions.value()),
              is_mean ? Values({2, 2.5, 4.5, -4}) : Values({3, 3, 5, -4}));
    const Variable over_features = function(input, bits({1}, {}), -1, false);
    EXPECT_TRUE(over_features.mask() == mask);
    EXPECT_EQ(to_doubles(over_features.value()),
              is_mean ? Values({1.5, 0, 3, 0, 5, 0}) : Values({2, 0, 3, 4, 5, 0}));
    tape.backward(over_features, make({1, kNaN, 1, 1, 1, kInf}, {2, 3}));
    const Tensor dx = is_mean ? make({.5, .5, 0, 0, .5, .5, .5, .5, .5, .5, 0, 0}, {2, 3, 2})
                              : make({0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0}, {2, 3, 2});
    EXPECT_TRUE(same_bits(input.grad(), dx)) << name;
  }
}

TEST(MaskedReduce, RefusesAMaskOrAnAxisThatDoesNotFit) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  const Variable masked(x.value(), {}, SequenceMask(bits({1, 0, 1, 1, 1, 0}, {2, 3})));
  const Tensor one = bits({1}, {1});
  for (const auto& [name, function] : kBoth) {
    const auto error = [f = function](const Variable& input, const Tensor& keep, int axis) {
      return error_of([&] { f(input, keep, axis, false); });
    };
    const std::string starts = "[" + name + "] ";
    EXPECT_EQ(error(x, bits({1, 1}, {2}), 0),
              starts + "a mask of bool (2,) does not fit an input of (2, 3)");
    EXPECT_EQ(error(x, bits({1}, {1, 1, 1}), 0),
              starts + "a mask of bool (1, 1, 1) does not fit an input of (2, 3)");
    EXPECT_EQ(error(x, make({1}, {1}), 0),
              starts + "a mask of float64 (1,) does not fit an input of (2, 3)");
    EXPECT_EQ(error(Variable(make({1}, {})), bits({1}, {}), 0),
              starts + "needs at least one dimension");
    EXPECT_EQ(error(masked, one, -2),
              starts + "would mix the samples of a masked batch (2, 3); drop_mask() it on purpose");
    EXPECT_EQ(error(Variable(Tensor::zeros({2}, DType::kInt64)), one, 0),
              starts + "does not take int64");
    EXPECT_EQ(error(x, one, 2), starts + "axis 2 is out of range for (2, 3)");
  }
}

}  // namespace
}  // namespace maskgrad
