// One product by several matrices is as many products by one.
#include <gmock/gmock.h>

#include <maskgrad/ops/elementwise.hpp>
#include <maskgrad/ops/matmul.hpp>
#include <maskgrad/ops/stacked_matmul.hpp>
#include <maskgrad/tensor/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::leaf;
using test::same_bits;
using test::to_doubles;
using test::uniform;
using Int = std::int64_t;

struct Inputs {
  Tensor x, g;  // g: [n, ..., N]
  std::vector<Tensor> weights;
};

Inputs random_inputs(Random& random, const Shape& rows, Int k, Int n, Int matrices, DType dtype) {
  const auto draw = [&](const Shape& shape) {
    return uniform(random, shape, -1, 1).to(DType::kFloat32).to(dtype);
  };
  Inputs in = {draw(rows.concat({k})), draw(Shape{matrices}.concat(rows).concat({n})), {}};
  for (Int i = 0; i < matrices; ++i) in.weights.push_back(draw({k, n}));
  return in;
}

struct Results {
  Tensor y, dx;
  std::vector<Tensor> dw;
};

Results run_stacked(const Inputs& in) {
  const Variable x = leaf(in.x);
  std::vector<Variable> weights;
  for (const Tensor& weight : in.weights) weights.push_back(leaf(weight));
  std::vector<const Variable*> pointers;
  for (const Variable& weight : weights) pointers.push_back(&weight);
  Tape tape;
  const Variable y = ops::stacked_matmul(x, pointers);
  tape.backward(y, in.g);
  Results results = {y.value(), x.grad(), {}};
  for (const Variable& weight : weights) results.dw.push_back(weight.grad());
  return results;
}

Tensor part_of(const Tensor& stacked, std::size_t i) {
  const Shape one = stacked.shape().slice(1, stacked.rank());
  return stacked.view(static_cast<Int>(i) * one.numel(), one);
}

// Its meaning: a product for each weight, and the sum of their gradients.
Results run_apart(const Inputs& in) {
  const Variable x = leaf(in.x);
  Results results = {Tensor::empty(in.g.shape(), in.g.dtype()), {}, {}};
  for (std::size_t i = 0; i < in.weights.size(); ++i) {
    const Variable weight = leaf(in.weights[i]);
    Tape tape;
    const Variable y = ops::matmul(x, weight);
    tape.backward(y, part_of(in.g, i));
    part_of(results.y, i).copy_from(y.value());
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
        const Inputs in = random_inputs(random, rows, k, n, matrices, dtype);
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

TEST(StackedMatmul, OfNothingIsEmptyOrZero) {
  Random random(2);
  for (const Shape& rows : {Shape{0, 3}, {3, 0}, {0}, {2, 3}}) {
    for (const auto& [k, n] : {std::pair<Int, Int>{5, 4}, {0, 4}, {5, 0}, {0, 0}}) {
      const Inputs in = random_inputs(random, rows, k, n, 2, DType::kFloat64);
      const Results found = run_stacked(in), expected = run_apart(in);
      EXPECT_TRUE(same_bits(found.y, expected.y)) << rows.numel() << " " << k << " " << n;
      EXPECT_TRUE(is_close(found.dx, to_doubles(expected.dx), 1e-13)) << rows.numel() << " " << k;
      EXPECT_TRUE(same_bits(found.dw[1], expected.dw[1])) << rows.numel() << " " << k << " " << n;
    }
  }
}

TEST(StackedMatmul, GivesGradientsOnlyToWhoTakesThem) {
  Random random(3);
  for (const Shape& rows : {Shape{2, 3}, Shape{40, 2}}) {
    const Inputs in = random_inputs(random, rows, 4, 3, 2, DType::kFloat64);
    const Results expected = run_apart(in);
    const Variable x(in.x), first(in.weights[0]), second = leaf(in.weights[1]);
    Tape tape;
    tape.backward(ops::stacked_matmul(x, {&first, &second}), in.g);
    EXPECT_TRUE(is_close(second.grad(), to_doubles(expected.dw[1]), 1e-13));
  }
}

TEST(StackedMatmul, AddsTheGradientsOfOneWeightThatStandsTwice) {
  Random random(4);
  for (const Shape& rows : {Shape{2, 3}, Shape{40, 2}}) {
    const Inputs in = random_inputs(random, rows, 4, 3, 2, DType::kFloat64);
    const Variable x(in.x), weight = leaf(in.weights[0]), other = leaf(in.weights[0]);
    Tape tape;
    const Variable y = ops::stacked_matmul(x, {&weight, &weight});
    tape.backward(y, in.g);
    Tape apart;
    const Variable sum = ops::add(ops::multiply(ops::matmul(x, other), Variable(part_of(in.g, 0))),
                                  ops::multiply(ops::matmul(x, other), Variable(part_of(in.g, 1))));
    apart.backward(sum, Tensor::full(sum.shape(), 1, DType::kFloat64));
    EXPECT_TRUE(is_close(weight.grad(), to_doubles(other.grad()), 1e-12));
  }
}

TEST(StackedMatmul, GivesTheBitsOfOneThreadOnTwoAndThree) {
  Random random(5);
  for (const auto& [k, n] : {std::pair<Int, Int>{15, 15}, {64, 80}}) {
    for (const Shape& rows : {Shape{100, 20}, Shape{3, 300}}) {
      for (const DType dtype : test::kFloatingDTypes) {
        const Inputs in = random_inputs(random, rows, k, n, 3, dtype);
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
      const Inputs in = random_inputs(random, {samples, 7}, k, n, 2, DType::kFloat32);
      Inputs longer = random_inputs(random, {samples, 12}, k, n, 2, DType::kFloat32);
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
    return error_of([&] { ops::stacked_matmul(x, pointers); });
  };
  const auto zeros = [](const Shape& shape, DType dtype = DType::kFloat32) {
    return Variable(Tensor::zeros(shape, dtype));
  };
  const std::string name = "[stacked_matmul] ";
  EXPECT_EQ(refused(zeros({2, 3}), {}), name + "needs one weight at least");
  const std::string needs = name + "x float32 (2, 3) needs weights [3, N] without masks, got ";
  EXPECT_EQ(refused(zeros({2, 3}), {zeros({4, 2})}), needs + "float32 (4, 2) and (4, 2)");
  EXPECT_EQ(refused(zeros({2, 3}), {zeros({3, 2}), zeros({3, 5})}),
            needs + "float32 (3, 5) and (3, 2)");
  EXPECT_EQ(refused(zeros({2, 3}), {zeros({3, 2}, DType::kFloat64)}),
            needs + "float64 (3, 2) and (3, 2)");
  EXPECT_EQ(refused(zeros({2, 3}), {zeros({3})}), needs + "float32 (3,) and (3,)");
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable masked(Tensor::zeros({1, 2, 3}, DType::kFloat32), Variable::kConstant, mask);
  EXPECT_EQ(
      refused(masked, {zeros({3, 2})}),
      name + "x (1, 2, 3) carries a mask, whose positions would move; fill_masked() it first");
  EXPECT_THAT(refused(zeros({}), {zeros({3, 2})}), ::testing::HasSubstr("x is a scalar"));
}

}  // namespace
}  // namespace maskgrad
