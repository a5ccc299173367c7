// One product by several matrices, and biases, is as many calls of linear(), bit for bit.
#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/math/stacked_inputs.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::leaf;
using test::leaf_over_nan;
using test::pointers_to;
using test::random_stacked;
using test::same_bits;
using test::StackedInputs;
using Int = std::int64_t;

struct Results {
  Tensor y, dx;  // undefined where nobody takes it
  std::vector<Tensor> dw, db;
};

// Bit i of `takers` says whether x, weight 0, bias 0, weight 1 and so on take a gradient.
Results run_stacked(const StackedInputs& in, unsigned takers = ~0U) {
  const auto value = [&](const Tensor& x, unsigned number) {
    return takers >> number & 1U ? leaf_over_nan(x) : Variable(x);
  };
  const Variable x = value(in.x, 0);
  std::vector<Variable> weights, biases;
  for (unsigned i = 0; i < in.weights.size(); ++i) {
    weights.push_back(value(in.weights[i], 1 + 2 * i));
    biases.push_back(value(in.biases[i], 2 + 2 * i));
  }
  const auto gradient = [](const Variable& leaf) {
    return leaf.requires_grad() ? leaf.grad() : Tensor();
  };
  Tape tape;
  const Variable y = ops::stacked_linear(x, pointers_to(weights), pointers_to(biases));
  tape.backward(y, in.g);
  Results results = {y.value(), gradient(x), {}, {}};
  for (const Variable& weight : weights) results.dw.push_back(gradient(weight));
  for (const Variable& bias : biases) results.db.push_back(gradient(bias));
  return results;
}

// A call of linear() for each; the gradients of x are added in their order.
Results run_apart(const StackedInputs& in) {
  Results results = {Tensor::empty(in.g.shape(), in.g.dtype()), {}, {}, {}};
  for (std::size_t i = 0; i < in.weights.size(); ++i) {
    const Variable x = leaf(in.x), weight = leaf(in.weights[i]), bias = leaf(in.biases[i]);
    const auto at = static_cast<Int>(i);
    {
      Tape tape;
      const Variable y = ops::linear(x, weight, bias);
      tape.backward(y, in.g[at]);
      results.y[at].copy_from(y.value());
    }
    results.dx = i == 0 ? x.grad() : ops::add(Variable(results.dx), Variable(x.grad())).value();
    results.dw.push_back(weight.grad());
    results.db.push_back(bias.grad());
  }
  return results;
}

void expect_same(const Tensor& found, const Tensor& expected, const std::string& what) {
  if (found.defined()) {
    EXPECT_TRUE(same_bits(found, expected)) << what;
  }
}
void expect_same(const Results& found, const Results& expected) {
  expect_same(found.y, expected.y, "y");
  expect_same(found.dx, expected.dx, "dx");
  for (std::size_t i = 0; i < expected.dw.size(); ++i) {
    expect_same(found.dw[i], expected.dw[i], fmt::format("weight {}", i));
    expect_same(found.db[i], expected.db[i], fmt::format("bias {}", i));
  }
}

// One row and many, small weights and large ones, one chain of terms, several, and several groups.
TEST(StackedLinear, HasTheBitsOfLinearForEachMatrix) {
  Random random(1);
  for (const Shape& rows : {Shape{}, Shape{1}, Shape{4}, Shape{40}, Shape{2, 3}, Shape{20, 7},
                            Shape{33, 2, 5}, Shape{1, 200}, Shape{3, 700}, Shape{64, 20}}) {
    for (const auto& [k, n, matrices] : {std::array<Int, 3>{5, 4, 2},
                                         {15, 15, 3},
                                         {1, 1, 1},
                                         {70, 33, 3},
                                         {3, 70, 4},
                                         {7, 600, 3},
                                         {600, 7, 2}}) {
      for (const DType dtype : test::kFloatingDTypes) {
        SCOPED_TRACE(fmt::format("{} rows, {} of {} x {}", rows, matrices, k, n));
        const StackedInputs in = random_stacked(random, rows, k, n, matrices, dtype);
        expect_same(run_stacked(in), run_apart(in));
      }
    }
  }
}

TEST(StackedLinear, OfNothingIsItsBiases) {
  Random random(2);
  for (const Shape& rows : {Shape{0, 3}, Shape{3, 0}, Shape{0}, Shape{2, 3}}) {
    for (const auto& [k, n] : {std::pair<Int, Int>{5, 4}, {0, 4}, {5, 0}, {0, 0}}) {
      SCOPED_TRACE(fmt::format("{} rows, {} x {}", rows, k, n));
      const StackedInputs in = random_stacked(random, rows, k, n, 2, DType::kFloat64);
      expect_same(run_stacked(in), run_apart(in));
    }
  }
}

// Where x and all weights take one, their gradients come from one loop, else from loops of their
// own, with which those of biases come.
TEST(StackedLinear, GivesTheSameBitsToWhoTakesAGradientWhoeverElseDoes) {
  Random random(3);
  for (const Shape& rows : {Shape{2, 3}, Shape{40, 7}, Shape{17, 1}}) {
    for (const Int n : {14, 90}) {
      const StackedInputs in = random_stacked(random, rows, 15, n, 2, DType::kFloat32);
      const Results all = run_apart(in);
      for (unsigned takers = 1; takers < 32; ++takers) {
        SCOPED_TRACE(fmt::format("{} rows, n {}, takers {:b}", rows, n, takers));
        expect_same(run_stacked(in, takers), all);
      }
    }
  }
}

TEST(StackedLinear, GivesTheBitsOfOneThreadOnTwoAndThree) {
  Random random(4);
  for (const auto& [k, n] : {std::pair<Int, Int>{15, 15}, {130, 80}}) {
    for (const Shape& rows : {Shape{100, 20}, Shape{3, 300}}) {
      const StackedInputs in = random_stacked(random, rows, k, n, 3, DType::kFloat32);
      const Results one = run_stacked(in);
      for (const int threads : {2, 3}) {
        const test::WithThreads more(threads);
        expect_same(run_stacked(in), one);
      }
    }
  }
}

TEST(StackedLinear, RefusesWhatDoesNotFit) {
  const auto zeros = [](const Shape& shape, DType dtype = DType::kFloat32) {
    return Variable(Tensor::zeros(shape, dtype));
  };
  const auto refused = [&](const std::vector<Variable>& biases) {
    const std::vector<Variable> weights = {zeros({3, 4}), zeros({3, 4})};
    return error_of([&] {
      ops::stacked_linear(zeros({2, 3}), pointers_to(weights), pointers_to(biases));
    });
  };
  const std::string name = "[stacked_linear] ";
  EXPECT_EQ(refused({}), name + "needs a bias for each of 2 weights, got 0");
  EXPECT_EQ(refused({zeros({4})}), name + "needs a bias for each of 2 weights, got 1");
  const std::string needs = name + "needs biases float32 (4,), bias ";
  EXPECT_EQ(refused({zeros({3}), zeros({4})}), needs + "0 is float32 (3,)");
  EXPECT_EQ(refused({zeros({4}), zeros({1, 4})}), needs + "1 is float32 (1, 4)");
  EXPECT_EQ(refused({zeros({4}), zeros({4}, DType::kFloat64)}), needs + "1 is float64 (4,)");
  const Variable masked(Tensor::zeros({4, 1}, DType::kFloat32), Variable::kConstant,
                        SequenceMask(test::bits({1, 0, 1, 1}, {4, 1})));
  EXPECT_EQ(refused({zeros({4}), masked}),
            name + "bias 1 carries a mask; drop_mask() it on purpose");
  EXPECT_EQ(error_of([&] {
              ops::stacked_linear(zeros({2, 3}), {}, {});
            }),
            name + "needs one weight at least");
}

}  // namespace
}  // namespace maskgrad
