#include <array>
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/norm.hpp>
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
using test::same_bits;
using test::to_doubles;
using Values = std::vector<double>;

constexpr double kEps = 1e-5;

struct Inputs {
  Tensor x, weight, bias, g;
};
struct Results {
  Tensor y, dx, dweight, dbias;
};

Inputs random_inputs(Random& random, const Shape& shape, DType dtype) {
  const Shape features = {shape.dim(-1)};
  return {test::uniform(random, shape).to(dtype), test::uniform(random, features).to(dtype),
          test::uniform(random, features).to(dtype), test::uniform(random, shape).to(dtype)};
}

template <class F>
Results run(const Inputs& in, F f) {
  const Variable x = leaf(in.x), weight = leaf(in.weight), bias = leaf(in.bias);
  Tape tape;
  const Variable y = f(x, weight, bias);
  tape.backward(y, in.g);
  return {y.value(), x.grad(), weight.grad(), bias.grad()};
}
Results run(const Inputs& in) {
  return run(in, [](const Variable& x, const Variable& weight, const Variable& bias) {
    return ops::layer_norm(x, weight, bias);
  });
}
Results run_masked(const Inputs& in, const Tensor& keep) {
  return run(in, [&](const Variable& x, const Variable& weight, const Variable& bias) {
    return ops::masked_layer_norm(x, keep, weight, bias);
  });
}

struct Expected {
  Values y, dx, dweight, dbias;
};

// Adds one row, from element `at` on, to what is expected; `kept` are its features that count.
void add_row(const Inputs& in, std::size_t at, const std::vector<std::size_t>& kept, double eps,
             Expected& e) {
  const Values x = to_doubles(in.x), g = to_doubles(in.g), w = to_doubles(in.weight);
  const auto mean_of = [&](auto term) {
    double sum = 0;
    for (const std::size_t j : kept) sum += term(j);
    return sum / static_cast<double>(kept.size());
  };
  const double mean = mean_of([&](std::size_t j) { return x[at + j]; });
  const double variance = mean_of([&](std::size_t j) { return std::pow(x[at + j] - mean, 2); });
  const double deviation = std::sqrt(variance + eps);
  const auto xhat = [&](std::size_t j) { return (x[at + j] - mean) / deviation; };
  const double mean_wg = mean_of([&](std::size_t j) { return w[j] * g[at + j]; });
  const double mean_wgx = mean_of([&](std::size_t j) { return w[j] * g[at + j] * xhat(j); });
  for (const std::size_t j : kept) {
    e.y[at + j] = xhat(j) * w[j] + to_doubles(in.bias)[j];
    e.dx[at + j] = (w[j] * g[at + j] - mean_wg - xhat(j) * mean_wgx) / deviation;
    e.dweight[j] += g[at + j] * xhat(j);
    e.dbias[j] += g[at + j];
  }
}

Expected by_definition(const Inputs& in, const Tensor& keep, double eps = kEps) {
  const auto size = static_cast<std::size_t>(in.x.numel());
  const auto features = static_cast<std::size_t>(in.x.dim(-1));
  Expected e{Values(size), Values(size), Values(features), Values(features)};
  const Tensor kept = ops::expand(keep, in.x.shape());
  for (std::size_t at = 0; at < size; at += features) {
    std::vector<std::size_t> of_row;
    for (std::size_t j = 0; j < features; ++j) {
      if (kept.data<bool>()[at + j]) of_row.push_back(j);
    }
    add_row(in, at, of_row, eps, e);
  }
  return e;
}

void expect_close(const Results& got, const Expected& expected) {
  const double tolerance = 8 * test::tolerance(got.y.dtype());
  EXPECT_TRUE(is_close(got.y, expected.y, tolerance));
  EXPECT_TRUE(is_close(got.dx, expected.dx, tolerance));
  EXPECT_TRUE(is_close(got.dweight, expected.dweight, tolerance));
  EXPECT_TRUE(is_close(got.dbias, expected.dbias, tolerance));
}

const Tensor kAll = bits({1}, {});

TEST(LayerNorm, IsTheFormulaAndHasItsGradients) {
  Random random(1);
  for (const Shape& shape : {Shape{2, 3, 5}, Shape{4, 17}, Shape{8}, Shape{3, 1}, Shape{2, 64}}) {
    for (const DType dtype : test::kFloatingDTypes) {
      SCOPED_TRACE(to_string(shape));
      const Inputs in = random_inputs(random, shape, dtype);
      expect_close(run(in), by_definition(in, kAll));
      const auto with_eps = [](const Variable& x, const Variable& weight, const Variable& bias) {
        return ops::layer_norm(x, weight, bias, 0.5);
      };
      expect_close(run(in, with_eps), by_definition(in, kAll, 0.5));
    }
  }
}

TEST(LayerNorm, OfAConstantRowIsTheBiasAndCentersTheGradient) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs in{Tensor::full({1, 4}, 0.75, dtype), make({1, 2, 1, 2}, {4}, dtype),
                    make({5, 6, 7, 8}, {4}, dtype), make({1, 1, 2, 3}, {1, 4}, dtype)};
    const Results got = run(in);
    EXPECT_TRUE(same_bits(got.y, make({5, 6, 7, 8}, {1, 4}, dtype)));
    // (w g - mean(w g)) / sqrt(eps), with w g = 1, 2, 2, 6
    const double r = 1 / std::sqrt(kEps);
    EXPECT_TRUE(is_close(got.dx, {-1.75 * r, -0.75 * r, -0.75 * r, 3.25 * r}));
    EXPECT_TRUE(same_bits(got.dweight, Tensor::zeros({4}, dtype)));
    EXPECT_TRUE(same_bits(got.dbias, make({1, 1, 2, 3}, {4}, dtype)));
  }
}

TEST(LayerNorm, OfOneFeatureIsTheBiasAndSendsNothingBack) {
  const Results got =
      run({make({3, -4}, {2, 1}), make({2}, {1}), make({7}, {1}), make({1, 5}, {2, 1})});
  EXPECT_TRUE(same_bits(got.y, make({7, 7}, {2, 1})));
  EXPECT_TRUE(is_close(got.dx, {0, 0}));
  EXPECT_TRUE(is_close(got.dbias, {6}));
}

TEST(LayerNorm, RefusesAnEpsThatGivesNoNumber) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x(Tensor::full({2, 3}, 1, dtype)), w(Tensor::full({3}, 1, dtype));
    const auto errors_of = [&](double eps) {
      return std::array{error_of([&] { ops::layer_norm(x, w, w, eps); }),
                        error_of([&] { ops::masked_layer_norm(x, bits({1}, {}), w, w, eps); })};
    };
    for (const double eps : {-1e-5, -1.0, kInf, -kInf, kNaN}) {
      for (const std::string& error : errors_of(eps)) {
        EXPECT_THAT(error, ::testing::EndsWith(
                               fmt::format("eps must be finite and at least 0, got {}", eps)));
      }
    }
    const bool fits = dtype == DType::kFloat64;
    for (const std::string& error : errors_of(1e39)) {
      EXPECT_THAT(error, ::testing::EndsWith(fits ? "no error" : "eps 1e+39 is no float32"));
    }
    for (const std::string& error : errors_of(0)) EXPECT_EQ(error, "no error");
  }
}

TEST(LayerNorm, KeepsItsDigitsFarFromZero) {
  for (const double shift : {0.0, 4096.0}) {
    const Inputs in{make({shift - 1, shift, shift + 1}, {3}, DType::kFloat32),
                    make({1, 1, 1}, {3}, DType::kFloat32), make({0, 0, 0}, {3}, DType::kFloat32),
                    make({1, 0, 0}, {3}, DType::kFloat32)};
    EXPECT_TRUE(is_close(run(in).y, {-std::sqrt(1.5), 0, std::sqrt(1.5)}, 1e-5)) << shift;
  }
}

TEST(LayerNorm, TakesNoRowsAndNoFeatures) {
  for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}, Shape{0}}) {
    Random random(1);
    const Results got = run(random_inputs(random, shape, DType::kFloat32));
    EXPECT_EQ(got.y.shape(), shape);
    EXPECT_EQ(got.dx.shape(), shape);
    EXPECT_TRUE(same_bits(got.dweight, Tensor::zeros({shape.dim(-1)}, DType::kFloat32)));
  }
}

// x and g with `poison` wherever keep, which broadcasts to them, is false.
Inputs poisoned(const Inputs& in, const Tensor& keep, double poison) {
  Inputs result{in.x.clone(), in.weight, in.bias, in.g.clone()};
  const Tensor kept = ops::expand(keep, in.x.shape());
  for (std::int64_t i = 0; i < kept.numel(); ++i) {
    if (kept.data<bool>()[i]) continue;
    result.x.view(i, {}).fill(poison);
    result.g.view(i, {}).fill(-poison);
  }
  return result;
}

TEST(LayerNorm, KeepsTheMaskWhoseHolesAreZeroAndReachNothing) {
  const Tensor positions = bits({1, 0, 1, 1, 1, 0}, {2, 3}), keep = positions.reshape({2, 3, 1});
  Random random(3);
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs clean = random_inputs(random, {2, 3, 5}, dtype);
    for (const double poison : {1e30, kInf, kNaN}) {
      const Inputs in = poisoned(clean, keep, poison);
      const Variable x = leaf(in.x, SequenceMask(positions));
      const Variable weight = leaf(in.weight), bias = leaf(in.bias);
      Tape tape;
      const Variable y = ops::layer_norm(x, weight, bias);
      EXPECT_TRUE(y.mask() == SequenceMask(positions));
      tape.backward(y, in.g);
      expect_close({y.value(), x.grad(), weight.grad(), bias.grad()}, by_definition(clean, keep));
    }
  }
}

TEST(MaskedLayerNorm, HasTheStatisticsOfTheKeptFeaturesAndReadsNoOther) {
  Random random(4);
  for (const Shape& shape : {Shape{2, 3, 7}, Shape{7}, Shape{3, 1}, Shape{}}) {
    Tensor keep = Tensor::empty(shape, DType::kBool);
    for (std::int64_t i = 0; i < keep.numel(); ++i) keep.data<bool>()[i] = random.uniform() < 0.6;
    for (const DType dtype : test::kFloatingDTypes) {
      SCOPED_TRACE(to_string(shape));
      const Inputs in = random_inputs(random, {2, 3, 7}, dtype);
      const Results clean = run_masked(in, keep);
      expect_close(clean, by_definition(in, keep));
      for (const double poison : {1e30, kInf, kNaN}) {
        const Results got = run_masked(poisoned(in, keep, poison), keep);
        EXPECT_TRUE(same_bits(got.y, clean.y));
        EXPECT_TRUE(same_bits(got.dx, clean.dx));
        EXPECT_TRUE(same_bits(got.dweight, clean.dweight));
        EXPECT_TRUE(same_bits(got.dbias, clean.dbias));
      }
    }
  }
}

TEST(MaskedLayerNorm, WithEverythingKeptHasTheBitsOfLayerNorm) {
  Random random(5);
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs in = random_inputs(random, {4, 9}, dtype);
    const Results masked = run_masked(in, kAll), plain = run(in);
    EXPECT_TRUE(same_bits(masked.y, plain.y));
    EXPECT_TRUE(same_bits(masked.dx, plain.dx));
    EXPECT_TRUE(same_bits(masked.dweight, plain.dweight));
    EXPECT_TRUE(same_bits(masked.dbias, plain.dbias));
  }
}

TEST(MaskedLayerNorm, OfARowWithNothingIsExactlyZeroAndSendsNothing) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs in{make({kNaN, kInf, 1e30, -kInf}, {2, 2}, dtype), make({kNaN, 2}, {2}, dtype),
                    make({3, kInf}, {2}, dtype), make({kNaN, 1, -kInf, 2}, {2, 2}, dtype)};
    const Results got = run_masked(in, bits({0}, {}));
    EXPECT_TRUE(same_bits(got.y, Tensor::zeros({2, 2}, dtype)));
    EXPECT_TRUE(same_bits(got.dx, Tensor::zeros({2, 2}, dtype)));
    EXPECT_TRUE(same_bits(got.dweight, Tensor::zeros({2}, dtype)));
    EXPECT_TRUE(same_bits(got.dbias, Tensor::zeros({2}, dtype)));
  }
}

TEST(MaskedLayerNorm, LeavesOutHolesAlongTheFeaturesAndKeepsTheMask) {
  const Tensor positions = bits({1, 0, 1, 1}, {1, 4});
  const Inputs in{make({1, kNaN, 2, 6}, {1, 4}), make({1, 1, 1, 1}, {4}), make({0, 0, 0, 0}, {4}),
                  make({1, kNaN, 0, 0}, {1, 4})};
  const Variable x = leaf(in.x, SequenceMask(positions));
  const Variable y = ops::masked_layer_norm(x, kAll, Variable(in.weight), Variable(in.bias));
  EXPECT_TRUE(y.mask() == SequenceMask(positions));
  EXPECT_TRUE(is_close(y.value(), by_definition(in, positions).y));
}

TEST(LayerNorm, RefusesShapesAndDTypesThatDoNotFit) {
  const auto value = [](const Shape& shape, DType dtype = DType::kFloat32) {
    return Variable(Tensor::zeros(shape, dtype));
  };
  const auto plain = [](const Variable& x, const Variable& weight, const Variable& bias) {
    return error_of([&] { ops::layer_norm(x, weight, bias); });
  };
  const auto masked = [](const Variable& x, const Variable& weight, const Variable& bias) {
    return error_of([&] { ops::masked_layer_norm(x, kAll, weight, bias); });
  };
  const Variable x = value({2, 3}), three = value({3}), four = value({4});
  const Variable wide = value({3}, DType::kFloat64);
  EXPECT_EQ(plain(value({}), three, three), "[layer_norm] needs at least one dimension");
  EXPECT_EQ(masked(value({}), three, three), "[masked_layer_norm] needs at least one dimension");
  const std::string shapes = " must be (3,), the last dimension of the input";
  EXPECT_EQ(plain(x, four, three), "[layer_norm] weight (4,) and bias (3,)" + shapes);
  EXPECT_EQ(masked(x, three, value({1, 3})),
            "[masked_layer_norm] weight (3,) and bias (1, 3)" + shapes);
  EXPECT_EQ(
      plain(x, wide, three),
      "[layer_norm] the input is float32, weight float64, bias float32: they must be the same");
  EXPECT_EQ(plain(value({3}, DType::kInt32), value({3}, DType::kInt32), value({3}, DType::kInt32)),
            "[layer_norm] does not take int32");
  EXPECT_EQ(error_of([&] {
              ops::masked_layer_norm(x, bits({1, 0}, {2}), three, three);
            }),
            "[masked_layer_norm] a mask of bool (2,) does not fit an input of (2, 3)");
  const Variable holes(x.value(), {}, SequenceMask(bits({1, 0, 1, 1, 1, 0}, {2, 3})));
  EXPECT_EQ(plain(holes, three, three),
            "[layer_norm] would read masked positions of (2, 3); use masked_layer_norm, or "
            "drop_mask() on purpose");
}

}  // namespace
}  // namespace maskgrad
