#include "checkers.hpp"

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "cuda/on_cuda.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

TEST(Checkers, FillOnTheDevice) {
  for (const Device device : {Device{}, test::kCuda}) {
    const Variable x =
        test::leaf(test::make({1, 2, test::kNaN, 4, 5, test::kInf}, {2, 3}).to(device));
    Tape tape;
    const Variable y = ops::fill_where(x, Checkers{2}, ops::mask_layout("checkers", {2, 3}, 1), 7);
    tape.backward(y, Tensor::full({2, 3}, 3, y.dtype(), device));
    EXPECT_THAT(test::to_doubles(y.value().to(Device{})), ::testing::ElementsAre(1, 2, 7, 4, 5, 7));
    EXPECT_THAT(test::to_doubles(x.grad().to(Device{})), ::testing::ElementsAre(3, 3, 0, 3, 3, 0));
  }
}

}  // namespace
}  // namespace maskgrad
