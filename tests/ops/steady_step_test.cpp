// Operations that a step repeats ask the system for no memory.
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/allocations.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

class SteadyOps : public test::CountsAllocations {
 protected:
  // How often f allocates when it has run before.
  template <class F>
  static std::int64_t allocations_of_a_repeated(F f) {
    for (int i = 0; i < 3; ++i) f();
    return counted(f);
  }
};

TEST_F(SteadyOps, SplitAndConcatAllocateNothing) {
  const Variable x = test::leaf(Tensor::full({2, 6, 3}, 1, DType::kFloat32));
  const Tensor g = Tensor::full({2, 6, 3}, 2, DType::kFloat32);
  const auto step = [&] {
    Tape tape;
    tape.backward(ops::concat(ops::split(x, {1, 2, 3}, 1), 1), g);
  };
  EXPECT_EQ(allocations_of_a_repeated(step), 0) << "the last of " << test::last_size << " bytes";
}

TEST_F(SteadyOps, IndexSelectAllocatesNothing) {
  const Variable x = test::leaf(Tensor::full({4, 3}, 1, DType::kFloat32));
  const Tensor indices = Tensor::zeros({5}, DType::kInt64);
  const Tensor g = Tensor::full({5, 3}, 2, DType::kFloat32);
  const auto step = [&] {
    Tape tape;
    tape.backward(ops::index_select(x, 0, indices), g);
  };
  EXPECT_EQ(allocations_of_a_repeated(step), 0) << "the last of " << test::last_size << " bytes";
}

}  // namespace
}  // namespace maskgrad
