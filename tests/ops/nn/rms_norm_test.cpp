#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/rms_norm.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/gradients.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using Values = std::vector<double>;

constexpr double kEps = 1e-6;

struct Inputs {
  Tensor x, weight, g;
};
struct Results {
  Tensor y, dx, dweight;
};

Inputs random_inputs(Random& random, const Shape& shape, DType dtype) {
  return {test::uniform(random, shape).to(dtype), test::uniform(random, {shape.dim(-1)}).to(dtype),
          test::uniform(random, shape).to(dtype)};
}

Results run(const Inputs& in, double eps = kEps, const SequenceMask& mask = {}) {
  const Variable x = leaf(in.x, mask), weight = leaf(in.weight);
  Tape tape;
  const Variable y = ops::rms_norm(x, weight, eps);
  EXPECT_TRUE(y.mask() == mask);
  tape.backward(y, in.g);
  return {y.value(), x.grad(), weight.grad()};
}

Tensor norm_of(const Tensor& x, double eps) {
  return ops::rms_norm(Variable(x), Variable(Tensor::full({x.dim(-1)}, 1, x.dtype())), eps).value();
}

struct Expected {
  Values y, dx, dweight;
};

// Of the rows that are kept; 0 at the others.
Expected by_definition(const Inputs& in, double eps, const Values& kept = {}) {
  const Values x = to_doubles(in.x), g = to_doubles(in.g), w = to_doubles(in.weight);
  const std::size_t n = w.size();
  Expected e{Values(x.size()), Values(x.size()), Values(n)};
  for (std::size_t at = 0; at < x.size(); at += n) {
    if (!kept.empty() && kept[at / n] == 0) continue;
    double squares = 0, dot = 0;
    for (std::size_t j = 0; j < n; ++j) squares += x[at + j] * x[at + j];
    const double root = std::sqrt(squares / static_cast<double>(n) + eps);
    for (std::size_t j = 0; j < n; ++j) dot += w[j] * g[at + j] * x[at + j];
    for (std::size_t j = 0; j < n; ++j) {
      e.y[at + j] = x[at + j] / root * w[j];
      // d(1/root)/dx = -x / (n root^3)
      e.dx[at + j] =
          w[j] * g[at + j] / root - x[at + j] * dot / (static_cast<double>(n) * std::pow(root, 3));
      e.dweight[j] += g[at + j] * x[at + j] / root;
    }
  }
  return e;
}

void expect_close(const Results& got, const Expected& expected) {
  const double tolerance = 8 * test::tolerance(got.y.dtype());
  EXPECT_TRUE(is_close(got.y, expected.y, tolerance));
  EXPECT_TRUE(is_close(got.dx, expected.dx, tolerance));
  EXPECT_TRUE(is_close(got.dweight, expected.dweight, tolerance));
}

TEST(RmsNorm, IsTheFormulaAndHasItsGradients) {
  Random random(1);
  for (const Shape& shape : {Shape{2, 3, 5}, Shape{4, 17}, Shape{8}, Shape{3, 1}, Shape{2, 64}}) {
    for (const DType dtype : test::kFloatingDTypes) {
      SCOPED_TRACE(to_string(shape));
      const Inputs in = random_inputs(random, shape, dtype);
      for (const double eps : {kEps, 0.5}) expect_close(run(in, eps), by_definition(in, eps));
    }
  }
}

TEST(RmsNorm, HasTheGradientsOfDifferences) {
  Random random(2);
  const Variable x = leaf(test::uniform(random, {3, 2, 6})), w = leaf(test::uniform(random, {6}));
  const NamedLeaf leaves[] = {{"x", x}, {"w", w}};
  const GradientReport report = check_gradients([&] { return ops::rms_norm(x, w, 0.1); }, leaves);
  EXPECT_TRUE(report.holds()) << to_string(report);
}

TEST(RmsNorm, OfARowWhoseMeanIsZeroIsItsLayerNorm) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = make({1, -3, 0.5, 1.5, -2, 2, 4, -4}, {2, 4}, dtype);
    const Variable weight(make({1, 2, -1, 0.5}, {4}, dtype)), none(Tensor::zeros({4}, dtype));
    const Tensor expected = ops::layer_norm(Variable(x), weight, none, 1e-3).value();
    EXPECT_TRUE(is_close(ops::rms_norm(Variable(x), weight, 1e-3).value(), to_doubles(expected)));
  }
}

TEST(RmsNorm, WithoutEpsDoesNotSeeTheScaleOfARow) {
  Random random(3);
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = test::uniform(random, {4, 7}).to(dtype);
    const Tensor y = norm_of(x, 0);
    Values scaled = to_doubles(x);
    for (double& value : scaled) value *= 0x1p20;
    EXPECT_TRUE(same_bits(norm_of(make(scaled, {4, 7}, dtype), 0), y));
    double squares = 0;
    for (const double value : to_doubles(y)) squares += value * value;
    EXPECT_NEAR(squares, 4 * 7, 100 * test::tolerance(dtype));
  }
}

TEST(RmsNorm, TakesNumbersWhoseSquaresOverflow) {
  const auto expect_ones = [](double size, DType dtype) {
    const Inputs in{make({size, -size, size, -size}, {1, 4}, dtype), make({1, 1, 2, 1}, {4}, dtype),
                    make({1, 0, 0, 0}, {1, 4}, dtype)};
    const Results got = run(in);
    EXPECT_TRUE(is_close(got.y, {1, -1, 2, -1})) << size;
    EXPECT_TRUE(is_close(got.dweight, {1, 0, 0, 0})) << size;
    // dx = (w g - xhat mean(w g xhat)) / size, by size so that it can be told from 0
    Values dx = to_doubles(got.dx);
    for (double& value : dx) value *= size;
    EXPECT_TRUE(is_close(make(dx, {1, 4}), {0.75, 0.25, -0.25, 0.25}, 1e-5)) << size;
  };
  for (const double size : {1e18, 1e20, 1e30}) expect_ones(size, DType::kFloat32);
  for (const double size : {1e30, 1e153, 1e155, 1e200, 1e300}) expect_ones(size, DType::kFloat64);
  for (const double size : {3e38, 1e39}) {
    const DType dtype = size < 3.4e38 ? DType::kFloat32 : DType::kFloat64;
    EXPECT_TRUE(is_close(norm_of(make({size, size}, {2}, dtype), 1e-6), {1, 1}));
  }
  const double most = std::numeric_limits<double>::max();
  EXPECT_TRUE(
      is_close(norm_of(make({most, -most, 0, 1}, {4}), 1e-6), {std::sqrt(2), -std::sqrt(2), 0, 0}));
}

TEST(RmsNorm, TakesNumbersWhoseSquaresVanish) {
  const std::pair<double, DType> sizes[] = {
      {0x1p-126, DType::kFloat32}, {1e-140, DType::kFloat64}, {1e-160, DType::kFloat64},
      {1e-200, DType::kFloat64},   {1e-307, DType::kFloat64},
  };
  for (const auto& [size, dtype] : sizes) {
    EXPECT_TRUE(is_close(norm_of(make({3 * size, 0, -size, size}, {4}, dtype), 0),
                         {6 / std::sqrt(11), 0, -2 / std::sqrt(11), 2 / std::sqrt(11)}))
        << size;
  }
}

TEST(RmsNorm, TakesDenormalNumbers) {
  EXPECT_TRUE(is_close(norm_of(make({0x1p-149, -0x1p-149}, {2}, DType::kFloat32), 0), {1, -1}));
  EXPECT_TRUE(
      is_close(norm_of(make({3 * 0x1p-149, 0, 0, 0}, {4}, DType::kFloat32), 0), {2, 0, 0, 0}));
  for (const DType dtype : test::kFloatingDTypes) {
    const double small = dtype == DType::kFloat32 ? 0x1p-140 : 0x1p-1060;
    // 1 / sqrt(eps) = 1024
    EXPECT_TRUE(same_bits(norm_of(make({small, -small}, {2}, dtype), 0x1p-20),
                          make({small * 1024, -small * 1024}, {2}, dtype)));
  }
}

TEST(RmsNorm, OfZerosIsZeroAndWithoutEpsNoNumber) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs in{Tensor::zeros({1, 2}, dtype), make({2, 3}, {2}, dtype),
                    make({1, -1}, {1, 2}, dtype)};
    const Results got = run(in);
    EXPECT_TRUE(same_bits(got.y, in.x));
    EXPECT_TRUE(is_close(got.dx, {2000, -3000}));
    EXPECT_TRUE(same_bits(got.dweight, Tensor::zeros({2}, dtype)));
    EXPECT_TRUE(is_close(norm_of(in.x, 0), {kNaN, kNaN}));
  }
}

TEST(RmsNorm, TakesNoRowsAndNoFeatures) {
  for (const Shape& shape :
       {Shape{0, 3}, Shape{3, 0}, Shape{0}, Shape{0, 2, 3}, Shape{2, 0, 3}, Shape{2, 3, 0}}) {
    Random random(1);
    const Results got = run(random_inputs(random, shape, DType::kFloat32));
    EXPECT_EQ(got.y.shape(), shape);
    EXPECT_EQ(got.dx.shape(), shape);
    EXPECT_TRUE(same_bits(got.dweight, Tensor::zeros({shape.dim(-1)}, DType::kFloat32)));
  }
  const SequenceMask mask(bits({1, 0}, {1, 2}));
  const Variable x = leaf(Tensor::zeros({1, 2, 0}, DType::kFloat64), mask);
  EXPECT_TRUE(ops::rms_norm(x, Variable(Tensor::zeros({0}, DType::kFloat64))).mask() == mask);
}

TEST(RmsNorm, KeepsTheMaskWhoseHolesAreZeroAndReachNothing) {
  const Values keep = {1, 0, 1, 1, 1, 0};
  const SequenceMask mask(bits(keep, {2, 3}));
  Random random(4);
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs clean = random_inputs(random, {2, 3, 5}, dtype);
    for (const double poison : {1e30, kInf, kNaN}) {
      for (const double eps : {kEps, 0.0}) {
        Inputs in{clean.x.clone(), clean.weight, clean.g.clone()};
        for (const std::int64_t hole : {1, 5}) {
          in.x.reshape({6, 5})[hole].fill(poison);
          in.g.reshape({6, 5})[hole].fill(-poison);
        }
        expect_close(run(in, eps, mask), by_definition(clean, eps, keep));
      }
    }
  }
}

TEST(RmsNorm, OfARowHasTheSameBitsInAnyBatchAndOnAnyNumberOfThreads) {
  Random random(5);
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs in = random_inputs(random, {700, 130}, dtype);
    const Results once = run(in);
    const Results alone = run({in.x[699].clone(), in.weight, in.g[699].clone()});
    EXPECT_TRUE(same_bits(once.y[699].clone(), alone.y));
    EXPECT_TRUE(same_bits(once.dx[699].clone(), alone.dx));
    for (const int threads : {2, 3}) {
      const test::WithThreads more(threads);
      const Results got = run(in);
      EXPECT_TRUE(same_bits(got.y, once.y));
      EXPECT_TRUE(same_bits(got.dx, once.dx));
      EXPECT_TRUE(same_bits(got.dweight, once.dweight));
    }
  }
}

TEST(RmsNorm, RefusesAnEpsThatGivesNoNumber) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x(Tensor::full({2, 3}, 1, dtype)), w(Tensor::full({3}, 1, dtype));
    const auto error = [&](double eps) { return error_of([&] { ops::rms_norm(x, w, eps); }); };
    for (const double eps : {-1e-6, -1.0, kInf, -kInf, kNaN}) {
      EXPECT_EQ(error(eps),
                fmt::format("[rms_norm] eps must be finite and at least 0, got {}", eps));
    }
    EXPECT_EQ(error(1e39),
              dtype == DType::kFloat64 ? "no error" : "[rms_norm] eps 1e+39 is no float32");
    EXPECT_EQ(error(0), "no error");
  }
}

TEST(RmsNorm, RefusesShapesAndDTypesThatDoNotFit) {
  const auto value = [](const Shape& shape, DType dtype = DType::kFloat32) {
    return Variable(Tensor::zeros(shape, dtype));
  };
  const auto error = [](const Variable& x, const Variable& weight) {
    return error_of([&] { ops::rms_norm(x, weight); });
  };
  const Variable x = value({2, 3}), three = value({3});
  EXPECT_EQ(error(value({}), three), "[rms_norm] needs at least one dimension");
  EXPECT_EQ(error(x, value({4})),
            "[rms_norm] weight (4,) must be (3,), the last dimension of the input");
  EXPECT_EQ(error(x, value({1, 3})),
            "[rms_norm] weight (1, 3) must be (3,), the last dimension of the input");
  EXPECT_EQ(error(x, value({3}, DType::kFloat64)),
            "[rms_norm] the input is float32, weight float64: they must be the same");
  EXPECT_EQ(error(value({3}, DType::kInt32), value({3}, DType::kInt32)),
            "[rms_norm] does not take int32");
  const Variable holes(x.value(), {}, SequenceMask(bits({1, 0, 1, 1, 1, 0}, {2, 3})));
  EXPECT_EQ(error(holes, three),
            "[rms_norm] would read masked positions of (2, 3); drop_mask() on purpose");
}

}  // namespace
}  // namespace maskgrad
