#include <array>
#include <utility>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::to_doubles;
using ::testing::Each;

Tensor transposed(const Tensor& x) {
  std::vector<std::int64_t> axes(static_cast<std::size_t>(x.rank()));
  for (std::size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<std::int64_t>(i);
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return ops::permuted(x, axes);
}

// y[..., i, j] = sum_k a[..., i, k] b[..., k, j], in double.
std::vector<double> naive_product(const Tensor& a, const Tensor& b) {
  const std::int64_t m = a.dim(-2), k = a.dim(-1), n = b.dim(-1);
  const Shape lead =
      broadcast("naive", a.shape().slice(0, a.rank() - 2), b.shape().slice(0, b.rank() - 2));
  const Tensor wide_a = ops::expand(a, lead.concat({m, k})).to(DType::kFloat64);
  const Tensor wide_b = ops::expand(b, lead.concat({k, n})).to(DType::kFloat64);
  std::vector<double> y;
  for (std::int64_t batch = 0; batch < lead.numel(); ++batch) {
    const double* left = wide_a.data<double>() + batch * m * k;
    const double* right = wide_b.data<double>() + batch * k * n;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::int64_t l = 0; l < k; ++l) sum += left[i * k + l] * right[l * n + j];
        y.push_back(sum);
      }
    }
  }
  return y;
}

const std::pair<Shape, Shape> kShapes[] = {
    {{2, 3}, {3, 4}},
    {{1, 1}, {1, 1}},
    {{7, 40}, {40, 33}},
    {{5, 2, 3}, {3, 4}},
    {{2, 3}, {5, 3, 4}},
    {{2, 1, 2, 3}, {5, 3, 4}},
    {{2, 3, 2, 3}, {2, 3, 3, 1}},
    {{1, 2, 3}, {6, 3, 4}},
    {{1, 300}, {300, 1}},
};

TEST(Matmul, IsTheProductOfMatricesAndBatches) {
  Random random(1);
  for (const auto& [sa, sb] : kShapes) {
    const Tensor a = test::uniform(random, sa), b = test::uniform(random, sb);
    const std::vector<double> expected = naive_product(a, b);
    for (const DType dtype : test::kFloatingDTypes) {
      for (const bool ta : {false, true}) {
        for (const bool tb : {false, true}) {
          const Tensor y = ops::matmul(Variable((ta ? transposed(a) : a).to(dtype)),
                                       Variable((tb ? transposed(b) : b).to(dtype)), ta, tb)
                               .value();
          EXPECT_EQ(y.dtype(), dtype);
          EXPECT_EQ(y.shape().slice(y.rank() - 2, y.rank()), (Shape{sa.dim(-2), sb.dim(-1)}));
          EXPECT_TRUE(is_close(y, expected, dtype == DType::kFloat32 ? 2e-4 : 1e-13))
              << to_string(sa) << to_string(sb) << ta << tb;
        }
      }
    }
  }
}

TEST(Matmul, HasTheGradientThatDifferencesGive) {
  Random random(2);
  for (const auto& [sa, sb] : kShapes) {
    if (sa.numel() > 100) continue;
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        const Tensor a = test::uniform(random, sa), b = test::uniform(random, sb);
        const Variable x = leaf(ta ? transposed(a) : a), w = leaf(tb ? transposed(b) : b);
        EXPECT_TRUE(
            test::gradients_agree([&] { return ops::matmul(x, w, ta, tb); }, {{"a", x}, {"b", w}}))
            << to_string(sa) << to_string(sb) << ta << tb;
      }
    }
  }
}

TEST(Matmul, OverNothingIsZeroForwardAndBackward) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable a = leaf(Tensor::empty({2, 0}, dtype)), b = leaf(Tensor::empty({0, 3}, dtype));
    Tape tape;
    const Variable y = ops::matmul(a, b);
    EXPECT_EQ(y.shape(), (Shape{2, 3}));
    EXPECT_THAT(to_doubles(y.value()), Each(0));
    tape.backward(y, Tensor::full({2, 3}, 1, dtype));
    EXPECT_EQ(a.grad().shape(), (Shape{2, 0}));
    EXPECT_EQ(b.grad().shape(), (Shape{0, 3}));
  }
}

TEST(Matmul, OfEmptyBatchesAndRowsIsEmptyWithZeroGradients) {
  for (const Shape& shape : {Shape{0, 4}, Shape{0, 5, 4}, Shape{5, 0, 4}}) {
    const Variable a = leaf(Tensor::empty(shape, DType::kFloat64));
    const Variable b = leaf(Tensor::full({4, 3}, 1, DType::kFloat64));
    Tape tape;
    const Variable y = ops::matmul(a, b);
    EXPECT_EQ(y.shape(), shape.with_dim(-1, 3));
    tape.backward(y, Tensor::empty(y.shape(), DType::kFloat64));
    EXPECT_THAT(to_doubles(b.grad()), Each(0)) << to_string(shape);
  }
}

TEST(Matmul, GivesTheBitsOfOneThreadOnThree) {
  Random random(3);
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable a = leaf(test::uniform(random, {24, 40, 50}).to(dtype));
    const Variable b = leaf(test::uniform(random, {24, 50, 30}).to(dtype));
    const auto run = [&] {
      Variable(a).clear_grad();
      Variable(b).clear_grad();
      Tape tape;
      const Variable y = ops::matmul(a, b);
      tape.backward(y, y.value());
      return std::array{y.value(), a.grad(), b.grad()};
    };
    const auto one = run();
    const test::WithThreads three(3);
    const auto again = run();
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_TRUE(test::same_bits(one[i], again[i])) << i;
    }
  }
}

TEST(Matmul, RefusesWhatDoesNotFit) {
  const auto run = [](const Shape& a, const Shape& b, bool ta = false, bool tb = false) {
    return error_of([&] {
      ops::matmul(Variable(Tensor::zeros(a, DType::kFloat32)),
                  Variable(Tensor::zeros(b, DType::kFloat32)), ta, tb);
    });
  };
  EXPECT_EQ(run({4, 8}, {7, 3}), "[matmul] inner dimensions must match: a is (4, 8), b is (7, 3)");
  EXPECT_EQ(run({4, 8}, {4, 3}, true, true),
            "[matmul] inner dimensions must match: a is (4, 8) transposed, b is (4, 3) transposed");
  EXPECT_EQ(run({8}, {8, 3}), "[matmul] needs matrices: a is (8,), b is (8, 3)");
  EXPECT_EQ(run({3, 8}, {}), "[matmul] needs matrices: a is (3, 8), b is ()");
  EXPECT_EQ(run({2, 4, 8}, {3, 8, 3}), "[matmul] shapes do not broadcast: (2,) and (3,)");
  EXPECT_EQ(error_of([] {
              ops::matmul(Variable(Tensor::zeros({2, 2}, DType::kFloat32)),
                          Variable(Tensor::zeros({2, 2}, DType::kFloat64)));
            }),
            "[matmul] a is float32, b is float64, they must be the same");
  const Variable n(Tensor::zeros({2, 2}, DType::kInt32));
  EXPECT_EQ(error_of([&] { ops::matmul(n, n); }), "[matmul] does not take int32");
}

TEST(Matmul, KeepsTheMaskOfItsRowsAndRefusesTheOthers) {
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  const auto masked = [&](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat64), {}, mask);
  };
  const auto plain = [](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat64));
  };
  EXPECT_TRUE(ops::matmul(masked({2, 3, 4}), plain({4, 5})).mask() == mask);
  EXPECT_TRUE(ops::matmul(masked({2, 3, 4}), plain({2, 4, 5})).mask() == mask);
  EXPECT_TRUE(ops::matmul(masked({2, 3, 6, 4}), plain({4, 5})).mask() == mask);
  EXPECT_EQ(error_of([&] {
              ops::matmul(plain({2, 2, 2}), masked({2, 3}));
            }),
            "[matmul] b carries a mask; drop_mask() it, or use an attention layer");
  EXPECT_EQ(error_of([&] {
              ops::matmul(masked({2, 3}), plain({3, 5}));
            }),
            "[matmul] would sum over masked positions of a (2, 3); drop_mask() it on purpose");
  EXPECT_EQ(error_of([&] {
              ops::matmul(masked({2, 3, 4}), plain({2, 3, 5}), true);
            }),
            "[matmul] would sum over masked positions of a (2, 3, 4); drop_mask() it on purpose");
  EXPECT_EQ(error_of([&] {
              ops::matmul(masked({2, 3, 4}), plain({2, 2, 4, 3}));
            }),
            "[matmul] b (2, 2, 4, 3) adds dimensions before the masked positions of a (2, 3, 4); "
            "drop_mask() it on purpose");
}

TEST(Matmul, LetsNothingInAHoleReachTheOtherRowsOrTheWeight) {
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  Random random(4);
  const Tensor x = test::uniform(random, {2, 3, 4});
  const Tensor w = test::uniform(random, {4, 5}), batched = test::uniform(random, {2, 4, 5});
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Tensor& weight : {w, batched}) {
      const auto run = [&](double poison) {
        Tensor value = x.to(dtype).clone();
        fill_holes(value, mask, poison);
        const Variable a = leaf(value, mask), b = leaf(weight.to(dtype));
        Tape tape;
        const Variable y = ops::matmul(a, b);
        Tensor kept = y.value().clone(), grad_output = Tensor::full(y.shape(), 1, dtype);
        fill_holes(kept, mask, 0);
        fill_holes(grad_output, mask, poison);
        tape.backward(y, grad_output);
        return std::array{kept, a.grad(), b.grad()};
      };
      const auto clean = run(0);
      for (const double poison : {1e30, -kInf, kNaN}) {
        const auto poisoned = run(poison);
        for (std::size_t i = 0; i < clean.size(); ++i) {
          EXPECT_TRUE(test::same_bits(poisoned[i], clean[i])) << poison << " in " << i;
        }
      }
      EXPECT_THAT(to_doubles(clean[1].view(4, {4})), Each(0));
    }
  }
}

}  // namespace
}  // namespace maskgrad
