// Sums on a device have the CPU's bits, and those of every order of threads.
#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

TEST(CudaSums, HaveTheBitsOfTheCpu) {
  Random random(3);
  const std::pair<Shape, Shape> cases[] = {{{1}, {}},
                                           {{5}, {}},
                                           {{512}, {}},
                                           {{513}, {}},
                                           {{2000}, {}},
                                           {{3, 700}, {3, 1}},
                                           {{33, 5}, {5}},
                                           {{64, 17}, {17}},
                                           {{100, 40}, {1, 40}},
                                           {{1300, 3}, {3}},
                                           {{5000, 3}, {3}},
                                           {{2, 4097, 2}, {2, 1, 2}},
                                           {{4, 33, 6}, {4, 1, 6}},
                                           {{4, 3, 5}, {3, 1}},
                                           {{0, 3}, {3}},
                                           {{3, 0}, {3, 1}},
                                           {{3, 0}, {0}},
                                           {{2, 2}, {2, 2}}};
  for (const DType dtype : test::kFloatingDTypes) {
    for (const auto& sizes : cases) {
      const Shape &from = sizes.first, &to = sizes.second;
      const Tensor x = test::uniform(random, from, -1e3, 1e3).to(dtype), there = x.to(kCuda);
      const Tensor sums = sum_to("test", x, to);
      test::in_each_order([&] {
        EXPECT_TRUE(is_identical(sum_to("test", there, to).to(Device{}), sums))
            << fmt::format("{} to {}", from, to);
      });
    }
  }
}

TEST(CudaSums, AddIntoATotal) {
  Random random(4);
  for (const DType dtype : test::kFloatingDTypes) {
    Tensor here = test::uniform(random, {300}).to(dtype), there = here.to(kCuda);
    const Tensor term = test::uniform(random, {300}).to(dtype);
    add_into(here, term);
    add_into(there, term.to(kCuda));
    EXPECT_TRUE(is_identical(there.to(Device{}), here));
    EXPECT_EQ(test::error_of([&] { add_into(there, term); }),
              "[add_into] got one input on cuda and another on cpu");
    EXPECT_EQ(test::error_of([&] { add_into(here, term.to(kCuda)); }),
              "[add_into] got one input on cuda and another on cpu");
  }
}

}  // namespace
}  // namespace maskgrad
