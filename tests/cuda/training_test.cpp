// A model of elementwise operations trains on a device as it does on the CPU, bit for bit.
#include "cuda/training.hpp"

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::leaf;

TEST(CudaTraining, HasTheBitsOfTheCpuInEveryOrderOfThreads) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const bool has_mask : {false, true}) {
      const std::vector<Tensor> wanted = test::ElementwiseModel({}, dtype, has_mask).train();
      EXPECT_FALSE(is_identical(wanted[0], wanted[5]));
      test::in_each_order([&] {
        const std::vector<Tensor> got = test::ElementwiseModel(kCuda, dtype, has_mask).train();
        for (std::size_t i = 0; i < wanted.size(); ++i) {
          EXPECT_EQ(got[i].device(), kCuda);
          EXPECT_TRUE(test::same_bits(got[i].to(Device{}), wanted[i])) << i;
        }
      });
    }
  }
}

TEST(CudaTraining, MakesTheHostWaitForNothing) {
  test::ElementwiseModel model(kCuda, DType::kFloat32, true);
  model.step();
  const std::uint64_t before = Traffic::so_far().syncs;
  model.step();
  EXPECT_EQ(Traffic::so_far().syncs, before);
}

TEST(CudaTraining, DropsWhatArrivesAtHoles) {
  const SequenceMask mask(test::bits({1, 0, 1, 1}, {2, 2}));
  const Tensor x = test::make({1, 2, test::kNaN, -test::kInf, 3, 4, 5, -6}, {2, 2, 2});
  const Tensor g = test::make({1, 1, 7, 8, 1, 1, 1, 1}, {2, 2, 2});
  const auto gradients = [&](Device device) {
    Tape tape;
    const Variable a = leaf(test::make({2, 3}, {2}).to(device)), value = leaf(x.to(device), mask);
    tape.backward(ops::multiply(value, a), g.to(device));
    return std::pair(a.grad().to(Device{}), value.grad().to(Device{}));
  };
  const auto wanted = gradients({}), got = gradients(kCuda);
  EXPECT_EQ(test::to_doubles(got.first), (std::vector<double>{9, 0}));  // 1 + 3 + 5, 2 + 4 - 6
  EXPECT_TRUE(is_identical(got.first, wanted.first));
  EXPECT_TRUE(is_identical(got.second, wanted.second));
}

TEST(CudaTraining, StartsWithTheParametersOfTheCpu) {
  Dense here(4, 3), there(4, 3);
  const ParameterBuffer on_cpu(here, DType::kFloat32, 7);
  ParameterBuffer on_cuda(there, DType::kFloat32, 7, kCuda);
  EXPECT_TRUE(is_identical(on_cuda.values().to(Device{}), on_cpu.values()));
  for (const auto& [name, value] : on_cuda.named_values()) {
    EXPECT_EQ(value.device(), kCuda);
    EXPECT_TRUE(is_identical(value.to(Device{}), on_cpu.named_values().at(name)));
  }
  EXPECT_THAT(test::to_doubles(on_cuda.gradients().to(Device{})), ::testing::Each(0));
  EXPECT_EQ(on_cuda.zeros_beside(0).device(), kCuda);
  EXPECT_EQ(test::error_of([&] { on_cuda.read_gradients<float>(); }),
            "[tensor] is on cuda: the host cannot read it; bring it there with to(Device{})");
}

TEST(CudaTraining, RefusesGradientsFromElsewhereAndChangesNothing) {
  Dense here(4, 3), there(4, 3);
  ParameterBuffer on_cpu(here, DType::kFloat32, 7), on_cuda(there, DType::kFloat32, 7, kCuda);
  const Tensor sum = Tensor::full(on_cpu.values().shape(), 1, DType::kFloat32);
  const auto error = [](ParameterBuffer& parameters, const Tensor& gradients) {
    return test::error_of([&] { parameters.set_gradients(gradients, 0.5); });
  };
  EXPECT_EQ(error(on_cpu, sum.to(kCuda)),
            "[parameters] gradients on cuda do not fit parameters on cpu");
  EXPECT_EQ(error(on_cuda, sum), "[parameters] gradients on cpu do not fit parameters on cuda");
  for (ParameterBuffer* parameters : {&on_cpu, &on_cuda}) {
    for (const auto& entry : parameters->entries()) {
      EXPECT_FALSE(entry.parameter->variable().grad().defined()) << entry.name;
    }
    EXPECT_THAT(test::to_doubles(parameters->gradients().to(Device{})), ::testing::Each(0));
  }
}

TEST(CudaTraining, SetsGradientsToAShareOfASum) {
  Random random(4);
  for (const DType dtype : test::kFloatingDTypes) {
    Dense here(40, 30), there(40, 30);
    ParameterBuffer on_cpu(here, dtype, 7), on_cuda(there, dtype, 7, kCuda);
    const Tensor sum = test::uniform(random, on_cpu.values().shape()).to(dtype);
    on_cpu.set_gradients(sum, 0.3);
    on_cuda.set_gradients(sum.to(kCuda), 0.3);
    EXPECT_TRUE(is_identical(on_cuda.gradients().to(Device{}), on_cpu.gradients()));
    EXPECT_TRUE(on_cuda.entries()[0].parameter->variable().grad().defined());
  }
}

TEST(CudaTraining, LoadsParametersFromTheHost) {
  Dense model(4, 3);
  ParameterBuffer buffer(model, DType::kFloat32, 7, kCuda);
  Random random(6);
  std::map<std::string, Tensor> values;
  for (const auto& [name, value] : buffer.named_values()) {
    values.emplace(name, test::uniform(random, value.shape()));
  }
  buffer.load(values);
  for (const auto& [name, value] : buffer.named_values()) {
    EXPECT_TRUE(is_identical(value.to(Device{}), values.at(name).to(DType::kFloat32)));
  }
}

}  // namespace
}  // namespace maskgrad
