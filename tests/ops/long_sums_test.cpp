// Sums over millions of equal terms, wherever an operation or a gradient has one, against their
// formulas: right to 1e-6 in float32, where the error of one running sum is a hundredth and more.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/rms_norm.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::leaf;

class LongSums : public ::testing::TestWithParam<DType> {
 protected:
  const std::int64_t many_ = GetParam() == DType::kFloat32 ? 10'000'000 : 1'000'000;

  Tensor filled(const Shape& shape, double x) const { return Tensor::full(shape, x, GetParam()); }
  Variable all(const Shape& shape, double x) const { return Variable(filled(shape, x)); }
  // `x` as the dtype holds it.
  double held(double x) const { return test::to_doubles(filled({}, x))[0]; }

  void expect_all(const Tensor& values, double expected) const {
    const double relative = GetParam() == DType::kFloat32 ? 1e-6 : 1e-14;
    for (const double value : test::to_doubles(values)) {
      ASSERT_NEAR(value, expected, relative * std::abs(expected));
    }
  }
  // The gradient of `x` from that of f(), all of which is `g`.
  template <class F>
  Tensor gradient(const Variable& x, double g, F f) const {
    Tape tape;
    const Variable y = f();
    tape.backward(y, filled(y.shape(), g));
    return x.grad();
  }
};

std::string name_of(const ::testing::TestParamInfo<DType>& info) {
  return std::string(to_string(info.param));
}
INSTANTIATE_TEST_SUITE_P(Of, LongSums, ::testing::Values(DType::kFloat32, DType::kFloat64),
                         name_of);

TEST_P(LongSums, OfASum) {
  expect_all(ops::sum(all({many_}, 0.1), {}).value(), static_cast<double>(many_) * held(0.1));
  expect_all(ops::sum(all({many_ / 2, 2}, 0.1), {0}).value(),
             static_cast<double>(many_ / 2) * held(0.1));
  expect_all(ops::sum(all({2, many_ / 2}, 0.1), {1}).value(),
             static_cast<double>(many_ / 2) * held(0.1));
  expect_all(ops::sum(all({1000, 2, many_ / 2000}, 0.1), {0, 2}).value(),
             static_cast<double>(many_ / 2) * held(0.1));
}

TEST_P(LongSums, OfAMean) {
  expect_all(ops::mean(all({2 * many_}, 1), {}).value(), 1);
  expect_all(ops::mean(all({many_, 2}, 0.1), {0}).value(), held(0.1));
}

TEST_P(LongSums, OfAMeanUnderAMask) {
  Tensor keep = Tensor::full({many_}, 1, DType::kBool);
  for (std::int64_t i = 0; i < many_; i += 3) keep.data<bool>()[i] = false;
  expect_all(ops::masked_mean(all({many_}, 0.1), keep, 0).value(), held(0.1));
}

TEST_P(LongSums, OfALoss) {
  const Tensor targets = Tensor::zeros({many_}, DType::kInt64);
  expect_all(ops::cross_entropy(all({many_, 2}, 0), targets).sum.value(),
             static_cast<double>(many_) * std::log(2.0));
}

TEST_P(LongSums, OfASoftmax) {
  expect_all(ops::softmax(all({many_}, 3)).value(), 1.0 / static_cast<double>(many_));
  expect_all(ops::log_softmax(all({many_}, 3)).value(), -std::log(static_cast<double>(many_)));
}

TEST_P(LongSums, OfAProduct) {
  const double each = held(0.1) * held(0.3);
  for (const std::int64_t rows : {1, 2, 20}) {
    const std::int64_t terms = many_ / rows;
    const Variable column = all({terms, 1}, 0.3), row = all({1, terms}, 0.3);
    const Variable x = all({rows, terms}, 0.1);
    expect_all(ops::matmul(x, column).value(), static_cast<double>(terms) * each);
    expect_all(ops::matmul(x, row, false, true).value(), static_cast<double>(terms) * each);
    expect_all(ops::matmul(all({terms, rows}, 0.1), column, true).value(),
               static_cast<double>(terms) * each);
  }
}

// Of samples short and long.
TEST_P(LongSums, OfTheGradientOfWeights) {
  for (const Shape& rows :
       {Shape{many_}, Shape{many_ / 10, 10}, Shape{10, many_ / 10}, Shape{many_, 1}}) {
    const Variable weight = leaf(filled({1, 1}, 1)), bias = leaf(filled({1}, 1));
    const Variable x = all(rows.concat({1}), 0.1);
    const double sum = static_cast<double>(many_) * held(0.1) * held(0.3);
    expect_all(gradient(weight, 0.3, [&] { return ops::matmul(x, weight); }), sum);
    const Variable fresh = leaf(filled({1, 1}, 1));
    expect_all(gradient(fresh, 0.3, [&] { return ops::linear(x, fresh, bias); }), sum);
    const Variable own = leaf(filled({1}, 1));
    expect_all(gradient(own, 0.3, [&] { return ops::linear(x, weight, own); }),
               static_cast<double>(many_) * held(0.3));
    const Variable stacked = leaf(filled({1, 1}, 1));
    expect_all(gradient(stacked, 0.3, [&] { return ops::stacked_matmul(x, {&stacked}); }), sum);
    const Variable of_all = leaf(filled({1}, 1));
    expect_all(gradient(of_all, 0.3, [&] { return ops::stacked_linear(x, {&weight}, {&of_all}); }),
               static_cast<double>(many_) * held(0.3));
  }
}

TEST_P(LongSums, OfGradientsOfWhatIsBroadcast) {
  const Variable x = all({many_}, 0.1);
  const Variable a = leaf(filled({1}, 2)), b = leaf(filled({}, 2));
  expect_all(gradient(a, 0.3, [&] { return ops::add(x, a); }),
             static_cast<double>(many_) * held(0.3));
  expect_all(gradient(b, 0.3, [&] { return ops::multiply(x, b); }),
             static_cast<double>(many_) * held(0.1) * held(0.3));
}

TEST_P(LongSums, OfTheGradientsOfANorm) {
  const std::int64_t rows = many_ / 2;
  Tensor x = filled({rows, 2}, 1);
  for (std::int64_t i = 0; i < rows; ++i) x[i][0].fill(-1.0);
  const Variable weight = leaf(filled({2}, 1)), bias = leaf(filled({2}, 0));
  expect_all(gradient(bias, 0.3, [&] { return ops::layer_norm(Variable(x), weight, bias); }),
             static_cast<double>(rows) * held(0.3));
  const double xhat = 1 / std::sqrt(1 + 1e-5);
  const std::vector<double> dweight = test::to_doubles(weight.grad());
  expect_all(weight.grad().reshape({2, 1})[1], static_cast<double>(rows) * held(0.3) * xhat);
  EXPECT_EQ(dweight[0], -dweight[1]);
}

TEST_P(LongSums, OfAWideNorm) {
  Tensor x = filled({many_}, 3);
  for (std::int64_t i = 0; i < many_; i += 2) x[i].fill(1.0);
  const Tensor y = ops::layer_norm(Variable(x), all({many_}, 1), all({many_}, 0)).value();
  expect_all(y[1], 1 / std::sqrt(1 + 1e-5));
  expect_all(y[0], -1 / std::sqrt(1 + 1e-5));
}

TEST_P(LongSums, OfANormByRootMeanSquares) {
  const Variable weight = leaf(filled({1}, 1)), column = all({many_, 1}, 0.1);
  const double root = std::sqrt(held(0.1) * held(0.1) + 1e-6);
  expect_all(ops::rms_norm(all({many_}, 0.1), all({many_}, 1)).value(), held(0.1) / root);
  expect_all(gradient(weight, 0.3, [&] { return ops::rms_norm(column, weight); }),
             static_cast<double>(many_) * held(0.3) * held(0.1) / root);
}

TEST_P(LongSums, OfTheGradientOfATable) {
  const Tensor tokens = Tensor::zeros({many_ / 1000, 1000}, DType::kInt64);
  const Variable table = leaf(filled({2, 1}, 1));
  const Tensor grad = gradient(table, 0.3, [&] { return ops::embedding(table, Variable(tokens)); });
  expect_all(grad[0], static_cast<double>(many_) * held(0.3));
  expect_all(grad[1], 0);
}

// One query and many equal keys; many queries and two keys. As tiles, and as three operations.
class LongAttention : public LongSums {
 protected:
  static constexpr std::int64_t kPairs = 200'000;

  Variable attention(const Variable& q, const Variable& k, const Variable& v, bool fused,
                     const Variable& bias = {}) const {
    const auto run = fused ? ops::scaled_dot_product_attention : ops::composed_attention;
    return run(q, k, v, AttentionMask::all(q.dim(2), k.dim(2)), {.bias = bias});
  }
};
INSTANTIATE_TEST_SUITE_P(Of, LongAttention, ::testing::Values(DType::kFloat32, DType::kFloat64),
                         name_of);

TEST_P(LongAttention, OverKeys) {
  for (const bool fused : {true, false}) {
    const Variable q = leaf(filled({1, 1, 1, 1}, 0.5));
    Tensor keys = filled({1, 1, kPairs, 1}, 1), values = filled({1, 1, kPairs, 1}, 0.1);
    expect_all(attention(q, Variable(keys), Variable(values), fused).value(), held(0.1));
    // dq = sum_t p (dp_t - mean dp) k_t, of two kinds of keys.
    for (std::int64_t t = 0; t < kPairs; t += 2) {
      keys[0][0][t].fill(-1.0);
      values[0][0][t].fill(-0.1);
    }
    const double a = 1 / (1 + std::exp(-1.0));  // of the keys that are 1, together
    const double dp = held(0.1), mean = (2 * a - 1) * dp;
    expect_all(
        gradient(q, 1, [&] { return attention(q, Variable(keys), Variable(values), fused); }),
        a * (dp - mean) - (1 - a) * (-dp - mean));
  }
}

TEST_P(LongAttention, OverQueries) {
  for (const bool fused : {true, false}) {
    const Variable q = all({1, 1, kPairs, 1}, 0.5);
    const Variable k = leaf(Tensor::from<double>({1, -1}, {1, 1, 2, 1}).to(GetParam()));
    const Variable v = leaf(Tensor::from<double>({1, 3}, {1, 1, 2, 1}).to(GetParam()));
    const Variable bias = leaf(filled({1, 1, 1, 2}, 0));
    Tape tape;
    const Variable y = attention(q, k, v, fused, bias);
    tape.backward(y, filled(y.shape(), 0.3));
    const double a = 1 / (1 + std::exp(-1.0)), g = held(0.3);
    expect_all(v.grad()[0][0][0], kPairs * a * g);
    expect_all(v.grad()[0][0][1], kPairs * (1 - a) * g);
    const double dscore = g * a * (1 - a) * (1 - 3);
    expect_all(k.grad()[0][0][0], kPairs * dscore * 0.5);
    expect_all(k.grad()[0][0][1], -kPairs * dscore * 0.5);
    expect_all(bias.grad()[0][0][0][0], kPairs * dscore);
    expect_all(bias.grad()[0][0][0][1], -kPairs * dscore);
  }
}

}  // namespace
}  // namespace maskgrad
