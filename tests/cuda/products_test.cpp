// Products of matrices and their gradients on a device have the CPU's bits.
#include <gmock/gmock.h>

#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/draws.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using ops::LinearActivation;
using test::error_of;
using test::expect_bits_of_the_cpu;
using test::is_near;
using test::kCuda;
using test::kInf;
using test::kNaN;
using ::testing::Each;

using Inputs = std::vector<Tensor>;
using Call = test::Function;

std::vector<const Variable*> pointers(const std::vector<Variable>& x, std::size_t begin,
                                      std::size_t end) {
  std::vector<const Variable*> all;
  for (; begin < end; ++begin) all.push_back(&x[begin]);
  return all;
}

Call matmul(bool transpose_a = false, bool transpose_b = false) {
  return [=](const auto& x) { return ops::matmul(x[0], x[1], transpose_a, transpose_b); };
}
Call linear(LinearActivation activation = LinearActivation::kNone) {
  return [=](const auto& x) { return ops::linear(x[0], x[1], x[2], activation); };
}

class CudaProducts : public test::Draws<> {
 protected:
  // x [rows..., in], weight [in, out] and bias [out].
  Inputs of_linear(const Shape& rows, std::int64_t in, std::int64_t out) {
    return {draw(rows.concat({in})), draw({in, out}), draw({out})};
  }
};

TEST_F(CudaProducts, AreThoseOfTheCpuWhateverIsTransposed) {
  const std::array<std::int64_t, 3> sizes[] = {{1, 1, 1},   {3, 17, 65},  {65, 40, 7}, {5, 33, 513},
                                               {33, 2, 70}, {1, 40, 600}, {9, 1, 1100}};
  for (const auto& [m, n, k] : sizes) {
    for (const bool a : {false, true}) {
      for (const bool b : {false, true}) {
        SCOPED_TRACE(fmt::format("m {} n {} k {} transposed {} {}", m, n, k, a, b));
        expect_bits_of_the_cpu(matmul(a, b), {draw(a ? Shape{k, m} : Shape{m, k}),
                                              draw(b ? Shape{n, k} : Shape{k, n})});
      }
    }
  }
}

TEST_F(CudaProducts, OfBatchesAreThoseOfTheCpu) {
  const std::pair<Shape, Shape> batches[] = {{{2, 3}, {2, 3}},    {{2, 1}, {3}}, {{3}, {2, 1}},
                                             {{4, 1, 2}, {3, 1}}, {{2}, {}},     {{}, {2}},
                                             {{0}, {0}},          {{0}, {1}}};
  for (const auto& [of_a, of_b] : batches) {
    for (const bool swaps : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", of_a, of_b));
      expect_bits_of_the_cpu(matmul(swaps, !swaps),
                             {draw(of_a.concat(swaps ? Shape{9, 5} : Shape{5, 9})),
                              draw(of_b.concat(swaps ? Shape{9, 4} : Shape{4, 9}))});
    }
  }
}

// So many that a card would be busy with large tiles.
TEST_F(CudaProducts, OfManySumsAreThoseOfTheCpu) {
  const auto expect_bits = [](const Call& call, const Inputs& inputs) {
    const auto y = [&](Device device) {
      std::vector<Variable> values;
      for (const Tensor& x : inputs) values.emplace_back(x.to(DType::kFloat32).to(device));
      return call(values).value().to(Device{});
    };
    EXPECT_TRUE(is_near(y(kCuda), y(Device{})));
  };
  expect_bits(matmul(), {draw({300, 30, 4}), draw({300, 4, 64})});
  expect_bits(matmul(), {draw({5000, 1, 2}), draw({5000, 2, 1})});
  expect_bits(linear(LinearActivation::kRelu), of_linear({544}, 3, 1000));
  Inputs inputs = {draw({540, 3})};
  for (int i = 0; i < 18; ++i) inputs.push_back(draw({3, 64}));
  for (int i = 0; i < 18; ++i) inputs.push_back(draw({64}));
  expect_bits(
      [](const auto& x) {
        return ops::stacked_linear(x[0], pointers(x, 1, 19), pointers(x, 19, 37));
      },
      inputs);
}

TEST_F(CudaProducts, WithABiasAndTheirGradientsAreThoseOfTheCpu) {
  for (const Shape& rows : {Shape{}, Shape{1}, Shape{5}, Shape{600}, Shape{2, 1}, Shape{3, 7},
                            Shape{17, 20}, Shape{2, 3, 4}, Shape{3, 600}}) {
    for (const auto& [in, out] : {std::pair{1, 1}, {3, 20}, {17, 5}}) {
      SCOPED_TRACE(fmt::format("{} in {} out {}", rows, in, out));
      const bool relu = (in + rows.rank()) % 2 == 0;
      expect_bits_of_the_cpu(linear(relu ? LinearActivation::kRelu : LinearActivation::kNone),
                             of_linear(rows, in, out));
    }
  }
}

// The gradient of a bias alone is a sum over rows; that of a weight alone is not.
TEST_F(CudaProducts, GiveTheGradientsThatAreWanted) {
  const Inputs inputs = of_linear({3, 50}, 6, 7);
  for (const unsigned takers : {1U, 2U, 3U, 4U, 5U, 6U}) {
    const auto gradients = [&](Device device) {
      std::vector<Variable> values;
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const Tensor x = inputs[i].to(device);
        values.push_back(takers >> i & 1U ? test::leaf(x) : Variable(x));
      }
      Tape tape;
      const Variable y = ops::linear(values[0], values[1], values[2]);
      tape.backward(y, y.value());
      std::vector<Tensor> all;
      for (const Variable& x : values) {
        if (x.requires_grad()) all.push_back(x.grad().to(Device{}));
      }
      return all;
    };
    const std::vector<Tensor> wanted = gradients(Device{}), got = gradients(kCuda);
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(is_near(got[i], wanted[i]));
  }
}

TEST_F(CudaProducts, BySeveralMatricesAreThoseOfTheCpu) {
  for (const std::size_t count : {1U, 3U, 18U}) {
    for (const Shape& rows : {Shape{4}, Shape{3, 30}, Shape{20, 2}, Shape{0}}) {
      SCOPED_TRACE(fmt::format("{} matrices, {}", count, rows));
      Inputs inputs = {draw(rows.concat({5}))};
      for (std::size_t i = 0; i < count; ++i) inputs.push_back(draw({5, 6}));
      expect_bits_of_the_cpu(
          [&](const auto& x) { return ops::stacked_matmul(x[0], pointers(x, 1, 1 + count)); },
          inputs);
      for (std::size_t i = 0; i < count; ++i) inputs.push_back(draw({6}));
      expect_bits_of_the_cpu(
          [&](const auto& x) {
            return ops::stacked_linear(x[0], pointers(x, 1, 1 + count),
                                       pointers(x, 1 + count, 1 + 2 * count));
          },
          inputs);
    }
  }
}

TEST_F(CudaProducts, WithoutRowsColumnsOrTerms) {
  for (const auto& [m, n, k] :
       {std::array{0, 3, 2}, {3, 0, 2}, {3, 4, 0}, {0, 0, 2}, {3, 0, 0}, {0, 4, 0}}) {
    SCOPED_TRACE(fmt::format("m {} n {} k {}", m, n, k));
    expect_bits_of_the_cpu(matmul(), {draw({m, k}), draw({k, n})});
    expect_bits_of_the_cpu(matmul(), {draw({2, m, k}), draw({2, k, n})});
    expect_bits_of_the_cpu(linear(LinearActivation::kRelu), of_linear({m}, k, n));
    expect_bits_of_the_cpu(linear(), of_linear({2, m}, k, n));
    expect_bits_of_the_cpu(linear(), of_linear({m, 2}, k, n));
  }
  const auto zeros = test::run_on(kCuda, matmul(), {draw({3, 0}), draw({0, 4})});
  EXPECT_THAT(test::to_doubles(zeros[0]), Each(0));
}

// Whatever holes hold reaches no sum, and what is sent back to them is 0.
TEST_F(CudaProducts, AreNotReachedByWhatHolesHold) {
  constexpr std::int64_t kLength = 70;
  Tensor keep = test::random_bits(random_, {3, kLength});
  for (std::int64_t s = 0; s < kLength; ++s) keep.data<bool>()[kLength + s] = false;
  const SequenceMask mask(keep);
  for (const double poison : {kNaN, kInf, -kInf}) {
    Inputs inputs = of_linear({3, kLength}, 6, 5);
    std::vector<Tensor> clean = test::run_on(kCuda, linear(), inputs, {}, mask);
    double* const x = inputs[0].data<double>();
    for (std::int64_t i = 0; i < 3 * kLength; ++i) {
      if (!keep.data<bool>()[i]) x[i * 6 + i % 6] = poison;
    }
    expect_bits_of_the_cpu(linear(LinearActivation::kRelu), inputs, mask);
    expect_bits_of_the_cpu(matmul(), {inputs[0], inputs[1]}, mask);
    expect_bits_of_the_cpu(matmul(false, true), {inputs[0], draw({4, 6})}, mask);
    expect_bits_of_the_cpu(matmul(), {inputs[0], draw({3, 6, 2})}, mask);
    std::vector<Tensor> poisoned = test::run_on(kCuda, linear(), inputs, {}, mask);
    for (Tensor* y : {&clean[0], &poisoned[0]}) fill_holes(*y, mask, 0);
    for (std::size_t i = 0; i < clean.size(); ++i) {
      EXPECT_TRUE(is_near(poisoned[i], clean[i])) << i;
    }
  }
}

// Elsewhere Inf and NaN go where they do on the CPU. Sums overflow, and denormal numbers stay.
TEST_F(CudaProducts, OfExtremeNumbersAreThoseOfTheCpu) {
  for (const double extreme : {kNaN, kInf, 1e300, 1e38, 3e-39, 1e-310, -1e-30, 0.0}) {
    Inputs inputs = of_linear({2, 40}, 70, 9);
    for (Tensor& x : inputs) {
      for (std::int64_t i = 0; i < x.numel(); i += 31) x.data<double>()[i] = extreme;
    }
    SCOPED_TRACE(extreme);
    expect_bits_of_the_cpu(linear(), inputs);
  }
}

TEST_F(CudaProducts, RefuseTensorsOfTwoDevices) {
  const Inputs inputs = of_linear({2}, 3, 4);
  const auto refused = [&](const Call& call, std::size_t there) {
    return error_of([&] {
      std::vector<Variable> values;
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        values.emplace_back(i == there ? inputs[i].to(kCuda) : inputs[i]);
      }
      call(values);
    });
  };
  const Call stacked = [](const auto& x) { return ops::stacked_linear(x[0], {&x[1]}, {&x[2]}); };
  for (const std::size_t there : {0U, 1U, 2U}) {
    const std::string error = "] got one input on cuda and another on cpu";
    EXPECT_EQ(refused(linear(), there), "[linear" + error);
    if (there < 2) {
      EXPECT_EQ(refused(matmul(), there), "[matmul" + error);
    }
    EXPECT_THAT(refused(stacked, there),
                ::testing::StartsWith("[stacked_linear] got one input on"));
  }
}

}  // namespace
}  // namespace maskgrad
