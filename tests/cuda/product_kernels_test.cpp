// Each kernel for products has the CPU's bits, for whatever sizes and pieces it is chosen.
#include <gmock/gmock.h>

#include "cuda/on_cuda.hpp"
#include "cuda/test_products.hpp"
#include "ops/cpu/product_operands.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::MatrixProduct;
using test::every_transpose;
using test::is_near;
using test::kCuda;

struct Results {
  Tensor y, sums;  // the second where a is transposed
};

// x on the device, behind a number more.
Tensor at_odd_place(const Tensor& x) {
  const Tensor whole = Tensor::zeros({1 + x.numel()}, x.dtype(), kCuda);
  Tensor part = whole.view(1, x.shape());
  part.copy_from(x);
  return part;
}

struct Operands {
  Tensor a, b;
  bool at_odd_places = false;  // of the device

  Operands(Random& random, const MatrixProduct& d, DType dtype) {
    a = test::uniform(random, d.transpose_a ? Shape{d.k, d.m} : Shape{d.m, d.k}).to(dtype);
    b = test::uniform(random, d.transpose_b ? Shape{d.n, d.k} : Shape{d.k, d.n}).to(dtype);
  }
  Results results(const MatrixProduct& d, Device device) const {
    const auto nan = [&](const Shape& shape) {
      return Tensor::full(shape, test::kNaN, a.dtype(), device);
    };
    return {nan({d.m, d.n}), d.transpose_a && !d.transpose_b ? nan({d.n}) : Tensor()};
  }
  Results on_cpu(const MatrixProduct& d) const {
    Results all = results(d, Device{});
    dispatch_dtype(FloatingTypes{}, a.dtype(), "test", [&]<class T>(T) {
      ops::RowFinish<T> finish;
      if (all.sums.defined()) finish.sums_of_b = all.sums.data<T>();
      ops::multiply_matrices(d, a.data<T>(), b.data<T>(), all.y.data<T>(), finish);
    });
    return all;
  }
  Results on_device(const MatrixProduct& d, const test::ProductPlan& plan) const {
    Results all = results(d, kCuda);
    const auto there = [&](const Tensor& x) {
      return at_odd_places ? at_odd_place(x) : x.to(kCuda);
    };
    test::multiply(d, plan, there(a), there(b), all.y, all.sums);
    return all;
  }
};

struct Cases {
  int kernels = test::kProductKernels;  // the first so many
  bool at_odd_places = false;
};
constexpr Cases kNarrow = {.kernels = 3};  // the others take long: their tiles are large

void expect_bits_of_the_cpu(Random& random, const MatrixProduct& d, const Cases& cases = {}) {
  for (const DType dtype : test::kFloatingDTypes) {
    Operands operands(random, d, dtype);
    operands.at_odd_places = cases.at_odd_places;
    const Results wanted = operands.on_cpu(d);
    for (int kernel = 0; kernel < cases.kernels; ++kernel) {
      for (const std::int64_t groups_of_piece : {1, 2, 8}) {
        // Short sums have a group or two. Of longer ones, 2 gives both pieces and levels of a tree.
        if (groups_of_piece != 2 && (d.k <= 256 || kernel >= kNarrow.kernels)) continue;
        const Results got = operands.on_device(d, {kernel, groups_of_piece});
        SCOPED_TRACE(fmt::format("m {} n {} k {}{}{} rows per sample {}, {} by kernel {}, {}", d.m,
                                 d.n, d.k, d.transpose_a ? " a^T" : "", d.transpose_b ? " b^T" : "",
                                 d.rows_per_sample, to_string(dtype), kernel, groups_of_piece));
        EXPECT_TRUE(is_near(got.y.to(Device{}), wanted.y));
        if (!wanted.sums.defined()) continue;
        EXPECT_TRUE(is_near(got.sums.to(Device{}), wanted.sums));
      }
    }
  }
}

TEST(ProductKernels, HaveTheBitsOfTheCpuForEverySize) {
  Random random(1);
  const std::array<std::int64_t, 3> sizes[] = {{1, 1, 1},    {4, 33, 64}, {9, 31, 65},
                                               {70, 150, 5}, {65, 1, 70}, {64, 128, 32}};
  for (const auto& [m, n, k] : sizes) {
    for (const MatrixProduct& d : every_transpose({.m = m, .n = n, .k = k})) {
      expect_bits_of_the_cpu(random, d);
    }
  }
}

TEST(ProductKernels, HaveTheBitsOfTheCpuForLongSums) {
  Random random(6);
  for (const auto& [m, n, k] : {std::array{8, 32, 512}, {3, 5, 1100}}) {
    for (const MatrixProduct& d : every_transpose({.m = m, .n = n, .k = k})) {
      expect_bits_of_the_cpu(random, d, kNarrow);
    }
  }
  expect_bits_of_the_cpu(random, {.m = 2, .n = 5, .k = 5000}, kNarrow);
  expect_bits_of_the_cpu(random, {.m = 3, .n = 4, .k = 1100, .transpose_a = true}, {.kernels = 4});
  expect_bits_of_the_cpu(random, {.m = 3, .n = 4, .k = 520});
}

TEST(ProductKernels, HaveTheBitsOfTheCpuForTheRowsOfSamples) {
  Random random(2);
  const std::array<std::int64_t, 4> sizes[] = {{3, 5, 2, 3},   {20, 17, 3, 200}, {5, 33, 17, 9},
                                               {7, 4, 40, 65}, {9, 9, 100, 5},   {1, 1, 16, 100}};
  for (const auto& [m, n, samples, rows] : sizes) {
    expect_bits_of_the_cpu(
        random, {.m = m, .n = n, .k = samples * rows, .transpose_a = true, .rows_per_sample = rows},
        samples == 17 || samples == 2 ? Cases{} : kNarrow);
  }
}

// Where they do not read several numbers at once.
TEST(ProductKernels, HaveTheBitsOfTheCpuForNumbersAtOddPlaces) {
  Random random(5);
  for (const MatrixProduct& d : every_transpose({.m = 64, .n = 128, .k = 32})) {
    expect_bits_of_the_cpu(random, d, {.at_odd_places = true});
  }
}

TEST(ProductKernels, GiveZerosWhereThereAreNoTerms) {
  Random random(3);
  for (const MatrixProduct& d : every_transpose({.m = 5, .n = 40, .k = 0})) {
    expect_bits_of_the_cpu(random, d);
  }
}

TEST(ProductKernels, HaveTheSameBitsInEveryOrderOfThreads) {
  Random random(4);
  const MatrixProduct d = {.m = 9, .n = 40, .k = 170, .transpose_a = true, .rows_per_sample = 10};
  test::in_each_order([&] { expect_bits_of_the_cpu(random, d); });
}

TEST(ProductKernels, AreChosenBySizes) {
  const auto plan = [](std::int64_t m, std::int64_t n, std::int64_t k) {
    const MatrixProduct d = {.m = m, .n = n, .k = k, .transpose_a = true};
    const auto [kernel, groups] = test::plan_of(d, DType::kFloat32, false);
    return std::pair(kernel, static_cast<int>(groups));
  };
  EXPECT_EQ(plan(1, 4096, 4096), std::pair(0, 1));     // 1024 blocks, each a group
  EXPECT_EQ(plan(3, 500'000, 4096), std::pair(1, 8));  // enough without a cut
  EXPECT_EQ(plan(100, 300, 150), std::pair(2, 1));     // few sums
  EXPECT_EQ(plan(1024, 1024, 512), std::pair(3, 1));   // 512 blocks; of large tiles, 128
  EXPECT_EQ(plan(4096, 4096, 4096), std::pair(4, 8));
  EXPECT_EQ(plan(512, 512, 100'000), std::pair(4, 32));  // a sum over many rows
}

}  // namespace
}  // namespace maskgrad
