// Operations that a step repeats ask the system for no memory.
#include <maskgrad/ops/nn/recurrent.hpp>
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

TEST_F(SteadyOps, RecurrentNetworksAllocateNothing) {
  Tensor keep = Tensor::full({40, 6}, 1, DType::kBool);
  keep[3].fill(0);
  const SequenceMask mask(keep);
  const Tensor g = Tensor::full({40, 6, 3}, 2, DType::kFloat32);
  for (const bool is_lstm : {true, false}) {
    const std::int64_t width = is_lstm ? 12 : 9;
    const auto parameter = [](const Shape& shape) {
      return test::leaf(Tensor::full(shape, 0.5, DType::kFloat32));
    };
    const Variable gates = test::leaf(Tensor::full({40, 6, width}, 1, DType::kFloat32), mask),
                   w = parameter({3, width}), b = parameter({width});
    const auto step = [&] {
      Tape tape;
      tape.backward(is_lstm ? ops::lstm(gates, w).output : ops::gru(gates, w, b).output, g);
    };
    EXPECT_EQ(allocations_of_a_repeated(step), 0) << "the last of " << test::last_size << " bytes";
  }
}

}  // namespace
}  // namespace maskgrad
