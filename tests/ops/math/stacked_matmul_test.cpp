// One product by several matrices is as many products by one.
#include <gmock/gmock.h>

#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/math/stacked_inputs.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::leaf;
using test::leaf_over_nan;
using test::pointers_to;
using test::random_stacked;
using test::same_bits;
using test::StackedInputs;
using test::to_doubles;
using Int = std::int64_t;

struct Results {
  Tensor y, dx;
  std::vector<Tensor> dw;
};

Results run_stacked(const StackedInputs& in) {
  const Variable x = leaf(in.x);
  std::vector<Variable> weights;
  for (const Tensor& weight : in.weights) weights.push_back(leaf(weight));
  Tape tape;
  const Variable y = ops::stacked_matmul(x, pointers_to(weights));
  tape.backward(y, in.g);
  Results results = {y.value(), x.grad(), {}};
  for (const Variable& weight : weights) results.dw.push_back(weight.grad());
  return results;
}

// Its formulas, term by term in double.
Results by_formula(const StackedInputs& in) {
  const Int k = in.x.dim(-1), n = in.g.dim(-1),
            rows = in.x.shape().slice(0, in.x.rank() - 1).numel();
  const auto wide = [](const Tensor& x) { return x.to(DType::kFloat64); };
  const Tensor x = wide(in.x), g = wide(in.g);
  Results results = {
      Tensor::zeros(g.shape(), DType::kFloat64), Tensor::zeros(x.shape(), DType::kFloat64), {}};
  for (std::size_t i = 0; i < in.weights.size(); ++i) {
    const Tensor w = wide(in.weights[i]);
    Tensor dw = Tensor::zeros(w.shape(), DType::kFloat64);
    const Int first = static_cast<Int>(i) * rows * n;
    for (Int at = 0; at < rows * k * n; ++at) {
      const Int row = at / (k * n), a = at / n % k, b = at % n, out = first + row * n + b;
      results.y.data<double>()[out] += x.data<double>()[row * k + a] * w.data<double>()[a * n + b];
      results.dx.data<double>()[row * k + a] += g.data<double>()[out] * w.data<double>()[a * n + b];
      dw.data<double>()[a * n + b] += g.data<double>()[out] * x.data<double>()[row * k + a];
    }
    results.dw.push_back(dw);
  }
  return results;
}

// Its meaning: a product for each weight, and the sum of their gradients.
Results run_apart(const StackedInputs& in) {
  const Variable x = leaf(in.x);
  Results results = {Tensor::empty(in.g.shape(), in.g.dtype()), {}, {}};
  for (std::size_t i = 0; i < in.weights.size(); ++i) {
    const Variable weight = leaf(in.weights[i]);
    Tape tape;
    const Variable y = ops::matmul(x, weight);
    tape.backward(y, in.g[static_cast<Int>(i)]);
    results.y[static_cast<Int>(i)].copy_from(y.value());
    results.dw.push_back(weight.grad());
  }
  results.dx = x.grad();
  return results;
}

// One sample and many, small weights and large ones: gradients in one loop and apart.
const std::vector<Shape> kRows = {{2, 3},  {20, 7}, {40}, {33, 2, 5}, {1, 200},
                                  {3, 70}, {17, 1}, {1},  {4},        {64, 20}};

TEST(StackedMatmul, IsAProductForEachMatrix) {
  Random random(1);
  for (const Shape& rows : kRows) {
    for (const auto& [k, n, matrices] : {std::array<Int, 3>{5, 4, 2},
                                         {15, 15, 3},
                                         {40, 33, 3},
                                         {1, 1, 1},
                                         {3, 70, 4},
                                         {70, 3, 1}}) {
      for (const DType dtype : test::kFloatingDTypes) {
        const StackedInputs in = random_stacked(random, rows, k, n, matrices, dtype);
        const Results found = run_stacked(in), expected = run_apart(in);
        const double tolerance = dtype == DType::kFloat32 ? 2e-5 : 1e-13;
        SCOPED_TRACE(fmt::format("{} times {} of {} x {}", in.x.shape(), matrices, k, n));
        EXPECT_TRUE(same_bits(found.y, expected.y));
        EXPECT_TRUE(
            is_close(found.dx, to_doubles(expected.dx), tolerance * static_cast<double>(n)));
        for (std::size_t i = 0; i < found.dw.size(); ++i) {
          EXPECT_TRUE(same_bits(found.dw[i], expected.dw[i])) << i;
        }
      }
    }
  }
}

// Sums of many terms too, which are computed piece by piece.
TEST(StackedMatmul, HasTheValuesAndGradientsOfItsFormulas) {
  Random random(7);
  for (const Shape& rows : {Shape{2, 3}, Shape{20, 2}, Shape{40}, Shape{1}, Shape{}}) {
    for (const auto& [k, n, matrices] :
         {std::array<Int, 3>{5, 4, 2}, {15, 15, 3}, {1100, 5, 2}, {5, 1100, 2}}) {
      for (const DType dtype : test::kFloatingDTypes) {
        const StackedInputs in = random_stacked(random, rows, k, n, matrices, dtype);
        const Results found = run_stacked(in), expected = by_formula(in);
        const double tolerance = (dtype == DType::kFloat32 ? 1e-6 : 1e-15) * 50;
        SCOPED_TRACE(fmt::format("{} times {} of {} x {}", in.x.shape(), matrices, k, n));
        EXPECT_TRUE(is_close(found.y, to_doubles(expected.y), tolerance));
        EXPECT_TRUE(is_close(found.dx, to_doubles(expected.dx), tolerance));
        for (std::size_t i = 0; i < found.dw.size(); ++i) {
          EXPECT_TRUE(is_close(found.dw[i], to_doubles(expected.dw[i]), tolerance)) << i;
        }
      }
    }
  }
}

TEST(StackedMatmul, OfNothingIsEmptyOrZero) {
  Random random(2);
  for (const Shape& rows : {Shape{0, 3}, {3, 0}, {0}, {2, 3}}) {
    for (const auto& [k, n] : {std::pair<Int, Int>{5, 4}, {0, 4}, {5, 0}, {0, 0}}) {
      const StackedInputs in = random_stacked(random, rows, k, n, 2, DType::kFloat64);
      const Results found = run_stacked(in), expected = run_apart(in);
      EXPECT_TRUE(same_bits(found.y, expected.y)) << rows.numel() << " " << k << " " << n;
      EXPECT_TRUE(is_close(found.dx, to_doubles(expected.dx), 1e-13)) << rows.numel() << " " << k;
      EXPECT_TRUE(same_bits(found.dw[1], expected.dw[1])) << rows.numel() << " " << k << " " << n;
    }
  }
}

// Where all take one, both gradients come from one loop; else from loops of their own.
TEST(StackedMatmul, GivesTheSameBitsToWhoTakesAGradientWhoeverElseDoes) {
  Random random(3);
  for (const Shape& rows : {Shape{2, 3}, Shape{40, 7}, Shape{20, 20}, Shape{17, 1}}) {
    for (const DType dtype : test::kFloatingDTypes) {
      const StackedInputs in = random_stacked(random, rows, 15, 14, 2, dtype);
      const Results all = run_stacked(in);
      for (unsigned takers = 1; takers < 7; ++takers) {
        const auto value = [&](unsigned i, const Tensor& x) {
          return takers >> i & 1U ? leaf(x) : Variable(x);
        };
        const Variable x = value(0, in.x), first = value(1, in.weights[0]),
                       second = value(2, in.weights[1]);
        Tape tape;
        tape.backward(ops::stacked_matmul(x, {&first, &second}), in.g);
        SCOPED_TRACE(fmt::format("{}, takers {:b}", rows, takers));
        const auto agrees = [](const Variable& taker, const Tensor& expected) {
          return !taker.requires_grad() || same_bits(taker.grad(), expected);
        };
        EXPECT_TRUE(agrees(x, all.dx));
        EXPECT_TRUE(agrees(first, all.dw[0]));
        EXPECT_TRUE(agrees(second, all.dw[1]));
      }
    }
  }
}

TEST(StackedMatmul, WritesAllOfAGradientThatItWritesWhereItIsWanted) {
  Random random(8);
  for (const Shape& rows : {Shape{2, 3}, Shape{40, 7}, Shape{20, 0}, Shape{0, 7}}) {
    for (const DType dtype : test::kFloatingDTypes) {
      const StackedInputs in = random_stacked(random, rows, 15, 14, 2, dtype);
      const Results expected = run_stacked(in);
      const Variable x = leaf_over_nan(in.x), first = leaf_over_nan(in.weights[0]),
                     second = leaf_over_nan(in.weights[1]);
      Tape tape;
      tape.backward(ops::stacked_matmul(x, {&first, &second}), in.g);
      EXPECT_TRUE(same_bits(x.grad(), expected.dx));
      EXPECT_TRUE(same_bits(first.grad(), expected.dw[0]));
      EXPECT_TRUE(same_bits(second.grad(), expected.dw[1]));
    }
  }
}

TEST(StackedMatmul, AddsTheGradientsOfOneWeightThatStandsTwice) {
  Random random(4);
  for (const Shape& rows : {Shape{2, 3}, Shape{40, 2}}) {
    for (const bool of_x : {false, true}) {
      StackedInputs in = random_stacked(random, rows, 4, 3, 2, DType::kFloat64);
      in.weights[1] = in.weights[0];
      const Results expected = by_formula(in);
      const Variable x = of_x ? leaf(in.x) : Variable(in.x), weight = leaf(in.weights[0]);
      Tape tape;
      tape.backward(ops::stacked_matmul(x, {&weight, &weight}), in.g);
      std::vector<double> sum = to_doubles(expected.dw[0]);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += to_doubles(expected.dw[1])[i];
      EXPECT_TRUE(is_close(weight.grad(), sum, 1e-13));
      if (!of_x) continue;
      EXPECT_TRUE(is_close(x.grad(), to_doubles(expected.dx), 1e-13));
    }
  }
}

TEST(StackedMatmul, GivesTheBitsOfOneThreadOnTwoAndThree) {
  Random random(5);
  for (const auto& [k, n] : {std::pair<Int, Int>{15, 15}, {64, 80}}) {
    for (const Shape& rows : {Shape{100, 20}, Shape{3, 300}}) {
      for (const DType dtype : test::kFloatingDTypes) {
        const StackedInputs in = random_stacked(random, rows, k, n, 3, dtype);
        const Results one = run_stacked(in);
        for (const int threads : {2, 3}) {
          const test::WithThreads more(threads);
          const Results found = run_stacked(in);
          EXPECT_TRUE(same_bits(found.y, one.y)) << threads << " threads";
          EXPECT_TRUE(same_bits(found.dx, one.dx)) << threads << " threads";
          for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(same_bits(found.dw[i], one.dw[i]));
        }
      }
    }
  }
}

// Rows behind those of each sample, from which nothing comes back.
TEST(StackedMatmul, GivesTheSameBitsWhenSamplesArePadded) {
  Random random(6);
  for (const auto& [k, n] : {std::pair<Int, Int>{15, 14}, {40, 33}}) {
    for (const Int samples : {3, 40}) {
      const StackedInputs in = random_stacked(random, {samples, 7}, k, n, 2, DType::kFloat32);
      StackedInputs longer = random_stacked(random, {samples, 12}, k, n, 2, DType::kFloat32);
      longer.weights = in.weights;
      longer.g.fill(0);
      for (Int b = 0; b < samples; ++b) {
        longer.x.view(b * 12 * k, {7, k}).copy_from(in.x.view(b * 7 * k, {7, k}));
        for (Int i = 0; i < 2; ++i) {
          longer.g.view((i * samples + b) * 12 * n, {7, n})
              .copy_from(in.g.view((i * samples + b) * 7 * n, {7, n}));
        }
      }
      const Results alone = run_stacked(in), padded = run_stacked(longer);
      for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(same_bits(padded.dw[i], alone.dw[i]));
      for (Int b = 0; b < samples; ++b) {
        EXPECT_TRUE(
            same_bits(padded.dx.view(b * 12 * k, {7, k}), alone.dx.view(b * 7 * k, {7, k})));
      }
    }
  }
}

TEST(StackedMatmul, RefusesWhatDoesNotFit) {
  const auto refused = [](const Variable& x, const std::vector<Variable>& weights) {
    std::vector<const Variable*> pointers;
    for (const Variable& weight : weights) pointers.push_back(&weight);
    return error_of([&] { ops::stacked_matmul(x, pointers_to(weights)); });
  };
  const auto zeros = [](const Shape& shape, DType dtype = DType::kFloat32) {
    return Variable(Tensor::zeros(shape, dtype));
  };
  const std::string name = "[stacked_matmul] ";
  EXPECT_EQ(refused(zeros({2, 3}), {}), name + "needs one weight at least");
  const auto needs = [&](const std::string& got) {
    return name + "x float32 (2, 3) needs weights float32 [3, N], weight " + got;
  };
  EXPECT_EQ(refused(zeros({2, 3}), {zeros({4, 2})}), needs("0 is float32 (4, 2)"));
  EXPECT_EQ(refused(zeros({2, 3}), {zeros({3, 2}), zeros({3})}), needs("1 is float32 (3,)"));
  EXPECT_EQ(refused(zeros({2, 3}), {zeros({3, 2}, DType::kFloat64)}), needs("0 is float64 (3, 2)"));
  EXPECT_EQ(refused(zeros({2, 3}), {zeros({3, 2}), zeros({3, 2}), zeros({3, 5})}),
            name + "weights must have one shape: weight 0 is (3, 2), weight 2 is (3, 5)");
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const auto masked = [&](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat32), Variable::kConstant, mask);
  };
  EXPECT_EQ(refused(masked({1, 2, 3}), {zeros({3, 2})}),
            name +
                "x (1, 2, 3) carries a mask, for which the output [n, ...] has no place; "
                "fill_masked() it first");
  EXPECT_EQ(refused(zeros({4, 1}), {zeros({1, 2}), masked({1, 2})}),
            name + "weight 1 carries a mask; drop_mask() it on purpose");
  const std::string rank = " has no dimensions, or too many";
  EXPECT_EQ(refused(zeros({}), {zeros({3, 2})}), name + "x ()" + rank);
  EXPECT_EQ(refused(zeros({1, 1, 1, 1, 1, 1, 1, 3}), {zeros({3, 2})}),
            name + "x (1, 1, 1, 1, 1, 1, 1, 3)" + rank);
}

}  // namespace
}  // namespace maskgrad
