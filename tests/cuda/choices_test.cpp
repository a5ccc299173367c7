// Operations that choose elements by a condition or a mask, on a device: what is not chosen is
// never read into a result.
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/draws.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::expect_bits_of_the_cpu;
using test::kCuda;
using test::kInf;
using test::kNaN;
using test::to_doubles;
using ::testing::Each;
using ::testing::ElementsAre;
using Inputs = std::vector<Variable>;

class CudaChoices : public test::Draws<> {};

TEST_F(CudaChoices, WhereChoosesFromTwoThatBroadcast) {
  const std::array<Shape, 3> cases[] = {{Shape{400}, Shape{400}, Shape{400}},
                                        {Shape{3, 1, 5}, Shape{4, 1}, Shape{}},
                                        {Shape{2, 3}, Shape{3}, Shape{2, 1}},
                                        {Shape{}, Shape{2, 130}, Shape{130}},
                                        {Shape{0, 2}, Shape{2}, Shape{}}};
  for (const auto& [condition, a, b] : cases) {
    const Tensor holds = draw_bits(condition);
    const auto f = [&](const Inputs& x) { return ops::where(holds, x[0], x[1]); };
    expect_bits_of_the_cpu(f, {draw(a), draw(b)});
  }
}

TEST_F(CudaChoices, WhereReadsNothingElse) {
  const Tensor holds = test::bits({1, 0, 1, 0}, {4});
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable a = test::leaf(test::make({1, kNaN, 3, kInf}, {4}, dtype).to(kCuda)),
                   b = test::leaf(test::make({-kInf, 2, kNaN, 4}, {4}, dtype).to(kCuda));
    Tape tape;
    const Variable y = ops::where(holds, a, b);
    EXPECT_THAT(to_doubles(y.value().to(Device{})), ElementsAre(1, 2, 3, 4));
    tape.backward(y, test::make({5, kNaN, kInf, 6}, {4}, dtype).to(kCuda));
    EXPECT_THAT(to_doubles(a.grad().to(Device{})), ElementsAre(5, 0, kInf, 0));
    EXPECT_THAT(to_doubles(b.grad().to(Device{})),
                ElementsAre(0, ::testing::NanSensitiveDoubleEq(kNaN), 0, 6));
  }
}

TEST_F(CudaChoices, KeepWhereFillsTheOthers) {
  for (const Shape& keep : {Shape{2, 3, 70}, Shape{3, 1}, Shape{}, Shape{2, 1, 70}}) {
    const Tensor bits = draw_bits(keep);
    const auto f = [&](const Inputs& x) { return ops::keep_where(x[0], bits, 0.1); };
    expect_bits_of_the_cpu(f, {draw({2, 3, 70})});
  }
  const Variable x(Tensor::full({2}, kNaN, DType::kFloat32, kCuda));
  const Tensor none = test::bits({0, 0}, {2});
  EXPECT_THAT(to_doubles(ops::keep_where(x, none, -2).value().to(Device{})), Each(-2));
  EXPECT_EQ(test::error_of([&] { ops::keep_where(x, none, 1e39); }),
            "[keep_where] fill 1e+39 is no float32");
}

TEST_F(CudaChoices, TakeRowsAndPutThemBack) {
  for (const std::int64_t features : {1, 2, 3, 4, 8, 40}) {
    const Tensor keep = draw_bits({101});
    const std::int64_t kept = ops::true_counts(keep.reshape({1, 101})).item<std::int64_t>();
    const auto take = [&](const Inputs& x) { return ops::boolean_mask(x[0], keep).output; };
    expect_bits_of_the_cpu(take, {draw({101, features})});
    const auto put = [&](const Inputs& x) { return ops::unmask_fill(x[0], keep, 0.1); };
    expect_bits_of_the_cpu(put, {draw({kept, features})});
    const std::vector<Tensor> masks = {keep, Tensor::full({101}, true, DType::kBool)};
    const auto join = [&](const Inputs& x) { return ops::boolean_unmask(masks, x); };
    expect_bits_of_the_cpu(join, {draw({kept, features}), draw({101 - kept, features})});
  }
}

TEST_F(CudaChoices, TakeNoRowsAndRowsOfNothing) {
  const Tensor none = test::bits({0, 0, 0}, {3}), all = test::bits({1, 1, 1}, {3});
  const auto take_none = [&](const Inputs& x) { return ops::boolean_mask(x[0], none).output; };
  expect_bits_of_the_cpu(take_none, {draw({3, 2})});
  const auto take_all = [&](const Inputs& x) { return ops::boolean_mask(x[0], all).output; };
  expect_bits_of_the_cpu(take_all, {draw({3, 0})});
  const auto put = [&](const Inputs& x) { return ops::unmask_fill(x[0], none, 7); };
  expect_bits_of_the_cpu(put, {draw({0, 2})});
}

TEST_F(CudaChoices, PackAndUnpackABatchWithPoisonInItsHoles) {
  const SequenceMask mask(draw_bits({5, 30}));
  const ops::Packing packing = ops::packing_of(mask);
  for (const std::int64_t features : {1, 3, 16}) {
    Tensor x = draw({5, 30, features});
    const auto there_and_back = [&](const Inputs& in) {
      const Variable row = ops::pack(in[0], packing);
      return ops::unpack(ops::multiply(row, row), packing, 3);
    };
    fill_holes(x, mask, 0);
    const auto wanted = test::run_on(Device{}, there_and_back, {x}, {}, mask);
    for (const double poison : {kNaN, kInf}) {
      fill_holes(x, mask, poison);
      test::in_each_order([&] {
        const auto got = test::run_on(kCuda, there_and_back, {x}, {}, mask);
        EXPECT_TRUE(test::same_bits(got[0], wanted[0]));
        EXPECT_TRUE(test::same_bits(got[1], wanted[1]));
      });
    }
  }
}

TEST_F(CudaChoices, SendNothingBackToRowsThatWereLeftOut) {
  const Tensor keep = test::bits({1, 0, 1}, {3});
  const Variable x = test::leaf(test::make({1, kNaN, 3}, {3}).to(kCuda));
  Tape tape;
  const Variable y = ops::boolean_mask(x, keep).output;
  tape.backward(y, test::make({kNaN, 5}, {2}).to(kCuda));
  EXPECT_THAT(to_doubles(y.value().to(Device{})), ElementsAre(1, 3));
  EXPECT_THAT(to_doubles(x.grad().to(Device{})),
              ElementsAre(::testing::NanSensitiveDoubleEq(kNaN), 0, 5));
}

TEST_F(CudaChoices, RefuseTwoDevices) {
  const Variable here(draw({2})), there(draw({2}).to(kCuda));
  const Tensor holds = test::bits({1, 0}, {2});
  EXPECT_EQ(test::error_of([&] { ops::where(holds, here, there); }),
            "[where] got one input on cuda and another on cpu");
}

}  // namespace
}  // namespace maskgrad
