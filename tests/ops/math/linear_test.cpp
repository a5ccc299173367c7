// linear is relu(x weight + bias) in one operation, bit for bit.
#include <array>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::LinearActivation;
using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::same_bits;
using test::to_doubles;

constexpr LinearActivation kActivations[] = {LinearActivation::kNone, LinearActivation::kRelu};

Variable composed(const Variable& x, const Variable& weight, const Variable& bias,
                  LinearActivation activation) {
  const Variable y = ops::add(ops::matmul(x, weight), bias);
  return activation == LinearActivation::kRelu ? ops::relu(y) : y;
}

struct Inputs {
  Tensor x, weight, bias, g;
  SequenceMask mask = {};
};
struct Results {
  Tensor y, dx, dweight, dbias;
};

Inputs random_inputs(Random& random, const Shape& rows, std::int64_t in, std::int64_t out,
                     DType dtype) {
  return {test::uniform(random, rows.concat({in})).to(dtype),
          test::uniform(random, {in, out}).to(dtype), test::uniform(random, {out}).to(dtype),
          test::uniform(random, rows.concat({out})).to(dtype)};
}

Results run(decltype(composed) f, const Inputs& in, LinearActivation activation) {
  const Variable x = leaf(in.x, in.mask), weight = leaf(in.weight), bias = leaf(in.bias);
  Tape tape;
  const Variable y = f(x, weight, bias, activation);
  tape.backward(y, in.g);
  return {y.value(), x.grad(), weight.grad(), bias.grad()};
}

// What the bias receives: g where y says so, summed over rows, in double.
std::vector<double> sum_of_gradients(const Inputs& in, const Tensor& y, bool relu) {
  const std::vector<double> g = to_doubles(in.g), out = to_doubles(y);
  std::vector<double> sums(static_cast<std::size_t>(in.bias.numel()));
  for (std::size_t i = 0; i < g.size(); ++i) {
    if (!relu || out[i] > 0) sums[i % sums.size()] += g[i];
  }
  return sums;
}

TEST(Linear, HasTheBitsOfAProductASumAndAnActivation) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Shape& rows : {Shape{1}, Shape{2}, Shape{3}, Shape{4}, Shape{5}, Shape{65},
                              Shape{1, 1}, Shape{3, 7}, Shape{17, 20}, Shape{2, 3, 4}}) {
      for (const auto& [in, out] : {std::pair{1, 1}, {3, 20}, {4, 17}, {17, 15}, {70, 33}}) {
        const Inputs inputs = random_inputs(random, rows, in, out, dtype);
        for (const LinearActivation activation : kActivations) {
          SCOPED_TRACE(fmt::format("{} in {} out {}", rows, in, out));
          const Results expected = run(composed, inputs, activation);
          const Results got = run(ops::linear, inputs, activation);
          EXPECT_TRUE(same_bits(got.y, expected.y));
          EXPECT_TRUE(same_bits(got.dx, expected.dx));
          EXPECT_TRUE(same_bits(got.dweight, expected.dweight));
          const bool relu = activation == LinearActivation::kRelu;
          const std::vector<double> dbias = sum_of_gradients(inputs, got.y, relu);
          EXPECT_TRUE(is_close(got.dbias, dbias, dtype == DType::kFloat32 ? 1e-4 : 1e-12));
        }
      }
    }
  }
}

TEST(Linear, TakesOneRow) {
  Random random(2);
  const Inputs in = random_inputs(random, {}, 5, 3, DType::kFloat64);
  Inputs rows = in;
  rows.x = in.x.reshape({1, 5});
  rows.g = in.g.reshape({1, 3});
  for (const LinearActivation activation : kActivations) {
    const Results one = run(ops::linear, in, activation);
    const Results expected = run(composed, rows, activation);
    EXPECT_EQ(one.y.shape(), (Shape{3}));
    EXPECT_TRUE(is_close(one.y, to_doubles(expected.y)));
    EXPECT_EQ(one.dx.shape(), (Shape{5}));
    EXPECT_TRUE(is_close(one.dx, to_doubles(expected.dx)));
    EXPECT_TRUE(is_close(one.dweight, to_doubles(expected.dweight)));
    EXPECT_TRUE(is_close(one.dbias, to_doubles(expected.dbias)));
  }
}

TEST(Linear, LetsNotANumberThrough) {
  Random random(3);
  Inputs in = random_inputs(random, {2, 3}, 4, 5, DType::kFloat32);
  in.x.data<float>()[5] = static_cast<float>(kNaN);
  for (const LinearActivation activation : kActivations) {
    const std::vector<double> y = to_doubles(run(ops::linear, in, activation).y);
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 5 == 1) << i;
  }
}

// By values, not by bits: no operation says which NaN it gives.
TEST(Linear, GivesWhatTheThreeOperationsGiveOfNumbersThatAreNotFinite) {
  Random random(7);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const double special : {kNaN, kInf, -kInf, 0.0}) {
      Inputs in = random_inputs(random, {3, 7}, 4, 5, dtype);
      in.x.view(9, {1}).fill(special);
      in.bias.view(2, {1}).fill(special);
      for (const LinearActivation activation : kActivations) {
        SCOPED_TRACE(special);
        const Results expected = run(composed, in, activation);
        const Results got = run(ops::linear, in, activation);
        EXPECT_TRUE(is_close(got.y, to_doubles(expected.y), 0));
        EXPECT_TRUE(is_close(got.dx, to_doubles(expected.dx), 0));
        EXPECT_TRUE(is_close(got.dweight, to_doubles(expected.dweight), 0));
        EXPECT_TRUE(is_close(got.dbias, to_doubles(expected.dbias)));
      }
    }
  }
}

TEST(Linear, OfNothingIsTheBiasOrEmpty) {
  Random random(4);
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs no_features = random_inputs(random, {2, 3}, 0, 4, dtype);
    const Results bias = run(ops::linear, no_features, LinearActivation::kNone);
    for (std::int64_t row = 0; row < 6; ++row) {
      EXPECT_TRUE(same_bits(bias.y.view(row * 4, {4}), no_features.bias));
    }
    EXPECT_EQ(bias.dx.shape(), (Shape{2, 3, 0}));
    EXPECT_EQ(bias.dweight.shape(), (Shape{0, 4}));
    for (const Shape& rows : {Shape{0}, Shape{0, 3}, Shape{3, 0}}) {
      const Results none =
          run(ops::linear, random_inputs(random, rows, 5, 4, dtype), LinearActivation::kRelu);
      EXPECT_EQ(none.y.shape(), rows.concat({4}));
      EXPECT_TRUE(same_bits(none.dweight, Tensor::zeros({5, 4}, dtype)));
      EXPECT_TRUE(same_bits(none.dbias, Tensor::zeros({4}, dtype)));
    }
    const Results no_outputs =
        run(ops::linear, random_inputs(random, {2, 3}, 5, 0, dtype), LinearActivation::kRelu);
    EXPECT_EQ(no_outputs.y.shape(), (Shape{2, 3, 0}));
    EXPECT_TRUE(same_bits(no_outputs.dx, Tensor::zeros({2, 3, 5}, dtype)));
    const Results of_one_row =
        run(ops::linear, random_inputs(random, {}, 0, 4, dtype), LinearActivation::kNone);
    EXPECT_EQ(of_one_row.y.shape(), (Shape{4}));
    EXPECT_EQ(of_one_row.dx.shape(), (Shape{0}));
    EXPECT_EQ(of_one_row.dweight.shape(), (Shape{0, 4}));
  }
}

TEST(Linear, KeepsTheMaskAndLetsNothingInAHoleReachTheRest) {
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  Random random(5);
  for (const DType dtype : test::kFloatingDTypes) {
    Inputs clean = random_inputs(random, {2, 3}, 4, 5, dtype);
    clean.mask = mask;
    EXPECT_TRUE(
        ops::linear(Variable(clean.x, {}, mask), Variable(clean.weight), Variable(clean.bias))
            .mask() == mask);
    for (const LinearActivation activation : kActivations) {
      const auto with_poison = [&](double poison) {
        Inputs in = clean;
        in.x = clean.x.clone();
        in.g = clean.g.clone();
        fill_holes(in.x, mask, poison);
        fill_holes(in.g, mask, poison);
        Results results = run(ops::linear, in, activation);
        results.y = without_holes(results.y, mask);
        return results;
      };
      const Results expected = with_poison(0);
      EXPECT_TRUE(holes_hold(expected.dx, mask, 0));
      for (const double poison : {1.0, 1e30, -1e30, kInf, -kInf, kNaN}) {
        SCOPED_TRACE(poison);
        const Results got = with_poison(poison);
        EXPECT_TRUE(same_bits(got.y, expected.y));
        EXPECT_TRUE(same_bits(got.dx, expected.dx));
        EXPECT_TRUE(same_bits(got.dweight, expected.dweight));
        EXPECT_TRUE(same_bits(got.dbias, expected.dbias));
      }
    }
  }
}

// Its gradient of relu is computed in the memory of what arrived.
TEST(Linear, ChangesNoGradientThatSomebodyElseHolds) {
  Random random(6);
  const Variable x(test::uniform(random, {5, 4}, -1, 1)), bias(test::uniform(random, {3}, -1, 1));
  const Variable weight = leaf(test::uniform(random, {4, 3}, -1, 1)),
                 beside = leaf(Tensor::zeros({5, 3}, DType::kFloat64));
  const Tensor g = test::uniform(random, {5, 3}, -1, 1), before = g.clone();
  Tape tape;
  const Variable y = ops::linear(x, weight, bias, LinearActivation::kRelu);
  tape.backward(ops::add(y, beside), g);
  EXPECT_TRUE(same_bits(g, before));
  EXPECT_TRUE(same_bits(beside.grad(), before));
}

// To read a gradient is no write to a value that shares its memory.
TEST(Linear, TakesAGradientThatIsAnInputToo) {
  Random random(8);
  const Tensor x = test::uniform(random, {3, 3}, -1, 1), w = test::uniform(random, {3, 3}, -1, 1);
  const auto gradients = [&](bool is_input) {
    const Variable input = leaf(x.clone()), weight = leaf(w.clone()),
                   bias = leaf(Tensor::zeros({3}, DType::kFloat64));
    Tape tape;
    const Variable y = ops::linear(input, weight, bias, LinearActivation::kRelu);
    tape.backward(y, is_input ? weight.value() : w);
    return std::array<Tensor, 3>{input.grad(), weight.grad(), bias.grad()};
  };
  const auto found = gradients(true), expected = gradients(false);
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(same_bits(found[i], expected[i]));
}

TEST(Linear, GivesTheSameBitsWhenSamplesArePadded) {
  Random random(6);
  constexpr std::int64_t kBatch = 20, kLength = 7, kMore = 6;
  const Inputs alone = random_inputs(random, {kBatch, kLength}, 9, 11, DType::kFloat32);
  Inputs padded = alone;
  padded.x = Tensor::full({kBatch, kLength + kMore, 9}, kNaN, DType::kFloat32);
  padded.g = Tensor::full({kBatch, kLength + kMore, 11}, kNaN, DType::kFloat32);
  for (std::int64_t b = 0; b < kBatch; ++b) {
    const auto copy = [&](const Tensor& from, Tensor& to) {
      const std::int64_t row = from.dim(2), rows = kLength + kMore;
      to.view(b * rows * row, {kLength * row})
          .copy_from(from.view(b * kLength * row, {kLength * row}));
    };
    copy(alone.x, padded.x);
    copy(alone.g, padded.g);
  }
  const std::vector<std::int64_t> lengths(kBatch, kLength);
  padded.mask = SequenceMask::from_lengths(lengths, kLength + kMore);
  for (const LinearActivation activation : kActivations) {
    const Results expected = run(ops::linear, alone, activation);
    const Results got = run(ops::linear, padded, activation);
    EXPECT_TRUE(same_bits(got.y.view(0, {kLength, 11}), expected.y.view(0, {kLength, 11})));
    EXPECT_TRUE(same_bits(got.dweight, expected.dweight));
    EXPECT_TRUE(same_bits(got.dbias, expected.dbias));
  }
}

TEST(Linear, GivesTheBitsOfOneThreadOnThree) {
  Random random(7);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Shape& rows : {Shape{3}, Shape{500}, Shape{40, 50}}) {
      const Inputs in = random_inputs(random, rows, 70, 90, dtype);
      const Results one = run(ops::linear, in, LinearActivation::kRelu);
      const test::WithThreads three(3);
      const Results again = run(ops::linear, in, LinearActivation::kRelu);
      EXPECT_TRUE(same_bits(again.y, one.y));
      EXPECT_TRUE(same_bits(again.dx, one.dx));
      EXPECT_TRUE(same_bits(again.dweight, one.dweight));
      EXPECT_TRUE(same_bits(again.dbias, one.dbias));
    }
  }
}

TEST(Linear, RefusesWhatDoesNotFit) {
  const auto value = [](const Shape& shape, DType dtype = DType::kFloat32) {
    return Variable(Tensor::zeros(shape, dtype));
  };
  const auto masked = [&](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat32), {},
                    SequenceMask(Tensor::full({2, 3}, 1, DType::kBool)));
  };
  const auto run = [](const Variable& x, const Variable& weight, const Variable& bias) {
    return error_of([&] { ops::linear(x, weight, bias); });
  };
  const Variable x = value({2, 3, 4}), weight = value({4, 5}), bias = value({5});
  EXPECT_EQ(run(x, weight, bias), "no error");
  const std::string needs = "[linear] needs a weight [I, O] and a bias [O], got ";
  EXPECT_EQ(run(x, value({4}), bias), needs + "(4,) and (5,)");
  EXPECT_EQ(run(x, weight, value({1, 5})), needs + "(4, 5) and (1, 5)");
  EXPECT_EQ(run(x, weight, value({4})), needs + "(4, 5) and (4,)");
  const std::string inner = "[linear] inner dimensions must match: x is ";
  EXPECT_EQ(run(value({2, 5}), weight, bias), inner + "(2, 5), weight (4, 5)");
  EXPECT_EQ(run(value({}), weight, bias), inner + "(), weight (4, 5)");
  EXPECT_EQ(run(value({2, 4}, DType::kFloat64), weight, bias),
            "[linear] x is float64, weight float32, bias float32: they must be the same");
  EXPECT_EQ(run(x, weight, value({5}, DType::kInt32)),
            "[linear] x is float32, weight float32, bias int32: they must be the same");
  const std::string no_mask = "[linear] weight and bias take no mask; drop_mask() it on purpose";
  EXPECT_EQ(run(value({7, 2}), masked({2, 3}), value({3})), no_mask);
  EXPECT_EQ(run(masked({2, 3}), value({3, 5}), bias),
            "[linear] would sum over masked positions of x (2, 3); drop_mask() it on purpose");
}

}  // namespace
}  // namespace maskgrad
