// Every registered operation on a device has the CPU's numbers, forward and backward. None reads
// the device's memory on the host unseen.
#include <algorithm>

#include <gtest/gtest.h>

#include "cuda/on_cuda.hpp"
#include "ops/registered.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

// x times so much, in float64.
Tensor scaled(const Tensor& x, double factor) {
  Tensor y = x.to(DType::kFloat64).clone();
  for (std::int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] *= factor;
  return y;
}

// Outputs and gradients of a call with numbers times `factor`, brought to the host.
std::vector<Tensor> run(const OpDef& op, const OpSample& sample, DType dtype, Device device,
                        double factor = 1) {
  OpCall call;
  call.args = sample.args;
  for (const auto& [name, x] : sample.inputs) {
    const bool moves = is_floating(x.dtype());
    call.inputs[name] = moves ? test::leaf(scaled(x, factor).to(dtype).to(device)) : Variable(x);
  }
  Tape tape;
  std::vector<Tensor> all;
  const std::vector<Variable> outputs = run_op(op, call);
  for (const Variable& y : outputs) all.push_back(y.value().to(Device{}));
  if (!outputs.front().requires_grad()) return all;
  Random random(2);
  const Tensor g = scaled(test::uniform(random, outputs.front().shape()), factor);
  tape.backward(outputs.front(), g.to(dtype).to(device));
  for (const auto& [name, input] : call.inputs) {
    if (!input.requires_grad()) continue;
    const Tensor grad = input.grad();
    all.push_back(grad.defined() ? grad.to(Device{}) : Tensor::zeros({}, dtype));
  }
  return all;
}

class EveryOp : public test::EachOp {
 protected:
  bool takes_floating_numbers() const {
    const auto is_floating_input = [](const auto& input) {
      return is_floating(input.second.dtype());
    };
    return std::ranges::any_of(samples(), [&](const OpSample& sample) {
      return std::ranges::any_of(sample.inputs, is_floating_input);
    });
  }
};

TEST_P(EveryOp, HasTheNumbersOfTheCpu) {
  for (const OpSample& sample : samples()) {
    for (const DType dtype : test::kFloatingDTypes) {
      const std::vector<Tensor> wanted = run(op(), sample, dtype, Device{});
      test::in_each_order([&] {
        const std::vector<Tensor> got = run(op(), sample, dtype, kCuda);
        ASSERT_EQ(got.size(), wanted.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
          EXPECT_TRUE(test::is_near(got[i], wanted[i], test::allowed_ulps(op().name, dtype))) << i;
        }
      });
    }
  }
}

// A product of two such numbers is 0 or -0, one of them is denormal, and so are sums of them.
TEST_P(EveryOp, HasTheZerosAndTheDenormalNumbersOfTheCpu) {
  for (const OpSample& sample : samples()) {
    for (const auto& [dtype, factor] : {std::pair(DType::kFloat32, 1e-25),
                                        {DType::kFloat32, 1e-39},
                                        {DType::kFloat64, 1e-200},
                                        {DType::kFloat64, 1e-309}}) {
      const std::vector<Tensor> wanted = run(op(), sample, dtype, Device{}, factor);
      const std::vector<Tensor> got = run(op(), sample, dtype, kCuda, factor);
      ASSERT_EQ(got.size(), wanted.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_TRUE(test::is_near(got[i], wanted[i], test::allowed_ulps(op().name, dtype)))
            << i << " of " << to_string(dtype) << " times " << factor;
      }
    }
  }
}

// Integers and bools stay on the host, so what takes these alone has no kernel.
TEST_P(EveryOp, IsListedWhereItTakesFloatingNumbers) {
  EXPECT_EQ(KernelSlot::any_of(op().name), takes_floating_numbers());
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOp, ::testing::ValuesIn(test::op_names()),
                         test::op_test_name);

}  // namespace
}  // namespace maskgrad
