// Functors of map_each() and elementwise() of a program's own, on a device.
#include <gmock/gmock.h>

#include <maskgrad/ops/elements/map.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/draws.hpp"
#include "cuda/own_functors.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::expect_bits_of_the_cpu;
using test::kCuda;
using Values = std::vector<Variable>;

const OpDef& bent_op() {
  static const OpDef op = [] {
    OpDef bent;
    bent.name = "bent";
    for (const char* input : {"a", "b"}) {
      bent.inputs.push_back({.name = input, .reach = Reach::kElement});
    }
    bent.mask_rule = MaskRule::kKeeps;
    return bent;
  }();
  return op;
}

Variable bent(const Values& x) {
  constexpr double kLimit = 0.25;
  return ops::elementwise(bent_op(), {&x[0], &x[1]}, test::Bent{kLimit}, test::BentByA{kLimit},
                          test::BentByB{kLimit});
}

class CudaOwnElements : public test::Draws<> {};

TEST_F(CudaOwnElements, HaveTheBitsOfTheCpuAndBroadcast) {
  expect_bits_of_the_cpu(bent, {draw({600}), draw({600})});
  expect_bits_of_the_cpu(bent, {draw({3, 1, 70}), draw({5, 1})});
  expect_bits_of_the_cpu(bent, {draw({}), draw({})});
  expect_bits_of_the_cpu(bent, {draw({0, 3}), draw({3})});
}

TEST_F(CudaOwnElements, ReadEachElementBeforeTheyWriteIt) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor a = draw({2, 300}).to(dtype), b = draw({300}).to(dtype);
    const Tensor wanted = ops::map_each("bent", test::Bent{0.1}, a, b);
    test::in_each_order([&] {
      Tensor there = a.to(kCuda);
      ops::map_each_into("bent", there, test::Bent{0.1}, there, b.to(kCuda));
      EXPECT_TRUE(is_identical(there.to(Device{}), wanted));
    });
  }
}

TEST_F(CudaOwnElements, HaveEachFunctionOfElements) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = Tensor::from<double>({-30, -4, -1, -0.1, -0.0, 0.0, 0.3, 1, 2, 4, 4.1}, {11});
    const Tensor wanted = ops::map_each("each_function", test::EachFunction(), x.to(dtype));
    const Tensor got = ops::map_each("each_function", test::EachFunction(), x.to(dtype).to(kCuda));
    EXPECT_TRUE(test::is_near(got.to(Device{}), wanted));
  }
}

TEST_F(CudaOwnElements, RefuseTwoDevicesAndWhatHasNoKernel) {
  const Variable here(draw({2})), there(draw({2}).to(kCuda));
  EXPECT_EQ(test::error_of([&] {
              bent({here, there});
            }),
            "[bent] got one input on cuda and another on cpu");
  EXPECT_EQ(test::error_of([&] {
              ops::map_each(
                  "twice", [](auto x) { return 2 * x; }, there.value());
            }),
            "[twice] has no CUDA kernel");
}

}  // namespace
}  // namespace maskgrad
