// Tensors of more elements than 32 bits count. Each test needs as much memory as it says.
#include <gmock/gmock.h>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/cuda/runtime.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/on_cuda.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using ::testing::Each;

constexpr std::int64_t kTwoTo31 = std::int64_t{1} << 31, kMany = kTwoTo31 + 512;

class BigTensor : public ::testing::Test {
 protected:
  // Whether the device has so many GB, and as much again for what else needs some.
  static bool has_room(double gigabytes) {
    std::size_t free = 0, total = 0;
    cuda::synchronize();
    cuda::check_cuda(cudaMemGetInfo(&free, &total), "test");
    return static_cast<double>(free) > (gigabytes + 2) * 1e9;
  }
  // Some elements at the start, where 31 and 32 bits end, and at the end.
  static std::vector<double> probe(const Tensor& x) {
    std::vector<double> all;
    constexpr std::int64_t kSome = 300;
    for (const std::int64_t middle : {kSome, kTwoTo31, 2 * kTwoTo31, x.numel() - kSome}) {
      const std::int64_t first = middle - kSome;
      if (first + 2 * kSome > x.numel()) continue;
      const auto some = test::to_doubles(x.view(first, {2 * kSome}).to(Device{}));
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
};

#define NEEDS_GIGABYTES(n) \
  if (!has_room(n)) GTEST_SKIP() << "the device has no " << (n) << " GB"

TEST_F(BigTensor, IsFilledAndCopiedToItsEnd) {
  NEEDS_GIGABYTES(10);
  Tensor x = Tensor::zeros({2 * kTwoTo31 + 1000}, DType::kBool, kCuda);
  EXPECT_THAT(probe(x), Each(0));
  x.fill(true);
  EXPECT_THAT(probe(x), Each(1));
  EXPECT_THAT(probe(x.clone()), Each(1));
}

TEST_F(BigTensor, IsComputedElementByElement) {
  NEEDS_GIGABYTES(26);
  const Variable x(Tensor::full({kMany}, -2, DType::kFloat32, kCuda));
  EXPECT_THAT(probe(ops::negate(x).value()), Each(2));
  EXPECT_THAT(probe(ops::add(x, x).value()), Each(-4));
}

TEST_F(BigTensor, IsConverted) {
  NEEDS_GIGABYTES(26);
  const Tensor x = Tensor::full({kMany}, 0.5, DType::kFloat32, kCuda);
  EXPECT_THAT(probe(x.to(DType::kFloat64)), Each(0.5));
}

TEST_F(BigTensor, IsAddedToInPlace) {
  NEEDS_GIGABYTES(18);
  Tensor x = Tensor::full({kMany}, 1, DType::kFloat32, kCuda);
  add_into(x, Tensor::full({kMany}, 2, DType::kFloat32, kCuda));
  EXPECT_THAT(probe(x), Each(3));
}

TEST_F(BigTensor, ComesFromBroadcastOnes) {
  NEEDS_GIGABYTES(20);
  constexpr std::int64_t kColumns = kTwoTo31 / 2;
  Tensor column = test::make({1, 2, 3, 4, 5}, {5, 1}, DType::kFloat32).to(kCuda);
  const Tensor row = Tensor::full({kColumns}, 10, DType::kFloat32, kCuda);
  const Tensor y = ops::add(Variable(column.view(0, {3, 1})), Variable(row)).value();
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_THAT(test::to_doubles(y.view(i * kColumns, {100}).to(Device{})), Each(11 + i));
    EXPECT_THAT(test::to_doubles(y.view((i + 1) * kColumns - 100, {100}).to(Device{})),
                Each(11 + i));
  }
}

// Each partial sum is a number of float32.
TEST_F(BigTensor, IsSummedAlongEachAxis) {
  NEEDS_GIGABYTES(20);
  const Tensor x = Tensor::full({kMany}, 1, DType::kFloat32, kCuda);
  const auto sums = [&](const Shape& shape, const Shape& to) {
    return test::to_doubles(sum_to("test", x.view(0, shape), to).to(Device{}));
  };
  EXPECT_THAT(sums({kMany}, {}), Each(static_cast<double>(kMany)));
  EXPECT_THAT(sums({kMany / 512, 512}, {512}), Each(static_cast<double>(kMany / 512)));
  EXPECT_THAT(sums({512, kMany / 512}, {512, 1}), Each(static_cast<double>(kMany / 512)));
  EXPECT_THAT(sums({8, kMany / 4096, 512}, {8, 1, 512}), Each(static_cast<double>(kMany / 4096)));
  const Tensor of_rows = sum_to("test", x.view(0, {kMany / 16, 16}), {kMany / 16, 1});
  EXPECT_THAT(test::to_doubles(of_rows.view(0, {100}).to(Device{})), Each(16));
  EXPECT_THAT(test::to_doubles(of_rows.view(kMany / 16 - 100, {100, 1}).to(Device{})), Each(16));
}

TEST_F(BigTensor, HasItsHolesFilled) {
  NEEDS_GIGABYTES(10);
  constexpr std::int64_t kEach = kTwoTo31 / 4;
  Tensor x = Tensor::zeros({5, kEach}, DType::kFloat32, kCuda);
  fill_holes(x, SequenceMask(test::bits({1, 0, 1, 1, 0}, {1, 5})), 7);
  for (const std::int64_t position : {0, 1, 2, 3, 4}) {
    const double wanted = position % 3 == 1 ? 7 : 0;
    EXPECT_THAT(test::to_doubles(x.view(position * kEach, {100}).to(Device{})), Each(wanted));
    EXPECT_THAT(test::to_doubles(x.view((position + 1) * kEach - 100, {100}).to(Device{})),
                Each(wanted));
  }
}

TEST_F(BigTensor, HasMoreRowsThanAGridHas) {
  for (const std::int64_t rows : {65'535, 65'536, 200'000}) {
    const Tensor x = Tensor::full({rows, 3}, 1, DType::kFloat32, kCuda);
    const Tensor y = sum_to("test", x, {rows, 1});
    EXPECT_THAT(test::to_doubles(y.to(Device{})), Each(3));
    const Tensor z =
        sum_to("test", Tensor::full({rows, 2, 3}, 1, DType::kFloat32, kCuda), {rows, 1, 3});
    EXPECT_THAT(test::to_doubles(z.to(Device{})), Each(2));
  }
}

}  // namespace
}  // namespace maskgrad
