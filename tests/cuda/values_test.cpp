// Elementwise operations on many numbers, and on numbers that nobody may look at.
#include <algorithm>
#include <bit>
#include <random>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

#include "cuda/on_cuda.hpp"
#include "ops/registered.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

// Operations with kernels, each place of whose output is made of floating numbers at that place,
// and that tell no shape.
std::vector<std::string> elementwise_ops() {
  const auto is_elementwise = [](const OpDef& op) {
    return std::all_of(op.inputs.begin(), op.inputs.end(), [](const InputSpec& input) {
      return input.reach == Reach::kElement && input.dtypes == DTypes::kFloating &&
             !input.optional && !input.repeated;
    });
  };
  std::vector<std::string> names;
  for (const auto& [name, op] : registry()) {
    if (KernelSlot::any_of(name) && is_elementwise(op)) names.push_back(name);
  }
  return names;
}

// Half of them have any bits: each exponent as often, denormal numbers, infinities, NaN. The others
// lie where functions change most. 0 and -0 stand first.
template <class T>
Tensor many_numbers(std::uint64_t seed) {
  Tensor x = Tensor::empty({test::many_elements()}, dtype_of<T>);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<T> near(-20, 20);
  T* const values = x.data<T>();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    values[i] = i % 2 == 0 ? std::bit_cast<T>(static_cast<Bits>(random())) : near(random);
  }
  values[0] = 0;
  values[1] = -T{0};
  return x;
}

// The output for such inputs, and their gradients for such a gradient, brought to the host.
template <class T>
std::vector<Tensor> run(const OpDef& op, const OpSample& sample, Device device) {
  std::uint64_t seed = 1;
  OpCall call{.inputs = {}, .args = sample.args};
  for (const auto& [name, x] : sample.inputs) {
    call.inputs[name] = test::leaf(many_numbers<T>(seed++).to(device));
  }
  Tape tape;
  const Variable y = run_op(op, call).front();
  tape.backward(y, many_numbers<T>(seed).to(device));
  std::vector<Tensor> all = {y.value().to(Device{})};
  for (const auto& [name, x] : call.inputs) all.push_back(x.grad().to(Device{}));
  return all;
}

class ManyNumbers : public test::EachOp {
 protected:
  template <class T>
  void expect_those_of_the_cpu() const {
    for (const OpSample& sample : samples()) {
      const auto wanted = run<T>(op(), sample, Device{}), got = run<T>(op(), sample, kCuda);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_TRUE(test::is_near(got[i], wanted[i], test::allowed_ulps(op().name, dtype_of<T>)))
            << (i == 0 ? "output" : "gradient");
      }
    }
  }
};

TEST_P(ManyNumbers, GiveThoseOfTheCpuInFloat32) { expect_those_of_the_cpu<float>(); }
TEST_P(ManyNumbers, GiveThoseOfTheCpuInFloat64) { expect_those_of_the_cpu<double>(); }

TEST_P(ManyNumbers, MayBeNone) {
  const Tensor nothing = Tensor::zeros({2, 0, 3}, DType::kFloat32, kCuda);
  const OpSample sample = samples().front();
  OpCall call{.inputs = {}, .args = sample.args};
  for (const auto& [name, x] : sample.inputs) call.inputs[name] = test::leaf(nothing.clone());
  Tape tape;
  const Variable y = run_op(op(), call).front();
  tape.backward(y, nothing);
  EXPECT_EQ(y.shape(), nothing.shape());
  for (const auto& [name, x] : call.inputs) EXPECT_EQ(x.grad().shape(), nothing.shape()) << name;
}

INSTANTIATE_TEST_SUITE_P(Elementwise, ManyNumbers, ::testing::ValuesIn(elementwise_ops()),
                         test::op_test_name);

// What a run leaves where the mask keeps, and all gradients, with `poison` at the holes.
std::vector<Tensor> run_masked(const OpDef& op, const OpSample& sample, double poison) {
  const SequenceMask mask(test::bits({1, 1, 0, 1, 0, 0}, {2, 3}));
  Random random(3);
  OpCall call{.inputs = {}, .args = sample.args};
  for (const auto& [name, x] : sample.inputs) {
    Tensor values = test::uniform(random, {2, 3, 50}, 0.1, 2).to(DType::kFloat32);
    fill_holes(values, mask, poison);
    call.inputs[name] = test::leaf(values.to(kCuda), mask);
  }
  Tensor g = test::uniform(random, {2, 3, 50}).to(DType::kFloat32);
  fill_holes(g, mask, poison);
  Tape tape;
  const Variable y = run_op(op, call).front();
  tape.backward(y, g.to(kCuda));
  std::vector<Tensor> all = {y.value().to(Device{})};
  fill_holes(all[0], mask, 0);
  for (const auto& [name, x] : call.inputs) all.push_back(x.grad().to(Device{}));
  return all;
}

class PoisonAtHoles : public test::EachOp {};

TEST_P(PoisonAtHoles, ChangesNoBitOfWhatIsKept) {
  const OpSample sample = samples().front();
  const std::vector<Tensor> wanted = run_masked(op(), sample, 0);
  for (const double poison : {test::kNaN, test::kInf, -test::kInf}) {
    test::in_each_order([&] {
      const std::vector<Tensor> got = run_masked(op(), sample, poison);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_TRUE(test::same_bits(got[i], wanted[i])) << i << " with " << poison;
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Elementwise, PoisonAtHoles, ::testing::ValuesIn(elementwise_ops()),
                         test::op_test_name);

TEST(ElementwiseOps, AreTheseAtLeast) {
  const std::vector<std::string> names = elementwise_ops();
  for (const char* name : {"add", "divide", "exp", "gelu", "maximum", "pow", "relu", "softplus"}) {
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  }
  EXPECT_GE(names.size(), 24U);
}

}  // namespace
}  // namespace maskgrad
