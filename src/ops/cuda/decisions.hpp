// Kernels for functors of fill_by_rule.hpp, also those of a program of your own. For `.cu` files.
//
// A functor without tensors takes one line, in a `.cu` file that sees it:
//   const bool kFilled = maskgrad::ops::fill_decisions<Checkers>();
// The device gets a copy of the functor, so all it holds are numbers. It calls the functor's
// fills(), which is constexpr or __host__ __device__. One that holds tensors of the host fills the
// slot with a function, which uploads them and gives decide() another functor:
//   const bool kFilled = kDecisionsCuda<Rule>.fill([](const Rule& rule, Tensor& filled) {
//     const Tensor numbers = rule.numbers.to(filled.device());
//     decide(RuleThere{numbers.device_data<std::int64_t>()}, filled);
//   });
#pragma once

#include <type_traits>

#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {

namespace detail {

template <class F>
__global__ void decide_kernel(F functor, std::int64_t columns, std::int64_t count, bool* filled) {
  const std::int64_t i = cuda::thread_number();
  if (i < count) filled[i] = functor.fills(i / columns, i % columns);
}

}  // namespace detail

/// filled[i, j] = functor.fills(i, j), a thread for each place. What the functor points to is on
/// the device.
template <class F>
void decide(const F& functor, Tensor& filled) {
  static_assert(std::is_trivially_copyable_v<F>, "the device gets a copy of the functor");
  cuda::launch({"sequence_mask", cuda::blocks_for(filled.numel()), cuda::kThreads},
               detail::decide_kernel<F>, functor, filled.dim(1), filled.numel(),
               filled.device_data<bool>());
}

/// Gives fill_where() a kernel for a functor: for the initialiser of a constant. Throws Error when
/// it has one.
template <MaskFunctor F>
bool fill_decisions() {
  return kDecisionsCuda<F>.fill(decide<F>);
}

}  // namespace maskgrad::ops
