#include <gtest/gtest.h>

#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {
namespace {

// What f() copies and fills.
template <class F>
Traffic moved_by(F f) {
  const Traffic before = Traffic::so_far();
  f();
  const Traffic after = Traffic::so_far();
  return {after.copied - before.copied, after.filled - before.filled};
}

TEST(Traffic, CountsTheBytesOfCopies) {
  const Tensor x = Tensor::zeros({5, 3}, DType::kFloat64);
  Tensor y = Tensor::empty({5, 3}, DType::kFloat64);
  EXPECT_EQ(moved_by([&] { x.clone(); }).copied, 120U);
  EXPECT_EQ(moved_by([&] { y.copy_from(x); }).copied, 120U);
  EXPECT_EQ(moved_by([&] { x.to(DType::kFloat32); }).copied, 60U);
  EXPECT_EQ(moved_by([&] { x.clone(); }).filled, 0U);
}

TEST(Traffic, CountsTheBytesThatAreFilled) {
  Tensor x = Tensor::empty({7}, DType::kFloat32);
  EXPECT_EQ(moved_by([&] { x.fill(2.0); }).filled, 28U);
  EXPECT_EQ(moved_by([&] { x = Tensor::zeros({9}, DType::kInt32); }).filled, 36U);
  EXPECT_EQ(moved_by([&] { x = Tensor::full({2, 2}, 1.0, DType::kBool); }).filled, 4U);
  EXPECT_EQ(moved_by([&] { x.fill(1.0); }).copied, 0U);
}

TEST(Traffic, CountsNoViewsAndNothingThatStaysInPlace) {
  const Tensor x = Tensor::zeros({4, 3}, DType::kFloat32);
  const Traffic none = moved_by([&] {
    Tensor same = x;
    same.copy_from(x);
    static_cast<void>(x.reshape({12}).view(3, {3}).to(DType::kFloat32));
    static_cast<void>(Tensor::empty({100}, DType::kFloat32));
  });
  EXPECT_EQ(none.copied, 0U);
  EXPECT_EQ(none.filled, 0U);
}

}  // namespace
}  // namespace maskgrad
