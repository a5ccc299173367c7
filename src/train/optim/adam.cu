#include <maskgrad/tensor/cuda/block_flags.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>
#include <maskgrad/train/optim/adam_rule.hpp>

namespace maskgrad {
namespace {

template <class T>
__global__ void adam_kernel(const AdamRule<T>* uploaded, std::int64_t count, const T* gradients,
                            T* w, T* m, T* r, bool* finite) {
  const AdamRule<T> rule = *uploaded;
  bool all = true;
  for (std::int64_t i = cuda::thread_number(); i < count; i += cuda::thread_count()) {
    typename AdamRule<T>::State state = {w[i], m[i], r[i]};
    const T g = rule.scaled(gradients[i]), square = rule.square(g, state.r);
    bool is_finite = true;
    if (rule.fits(square)) {
      state.m = rule.next_m(g, state.m);
      state.r = ops::math::sqrt(square);
      state.w = rule.next_w(state.w, state.m, state.r);
    } else {
      state = rule.next_of_large(gradients[i], state, is_finite);
    }
    w[i] = state.w;
    m[i] = state.m;
    r[i] = state.r;
    all = all && is_finite && state.w - state.w == T{0};
  }
  cuda::write_flag(all, finite);
}

const bool kFilled =
    kAdamCuda.fill([](const AdamFactors& factors, std::int64_t first, std::int64_t count,
                      const Tensor& g, Tensor& w, Tensor& m, Tensor& r, bool& finite) {
      const unsigned blocks = cuda::blocks_of_stride(count);
      cuda::BlockFlags flags(blocks, w.device());
      dispatch_dtype(FloatingTypes{}, w.dtype(), "adam", [&]<class T>(T) {
        const AdamRule<T> rule(factors);
        const cuda::Uploaded uploaded(rule);
        cuda::launch({"adam", blocks, cuda::kThreads}, adam_kernel<T>, uploaded.data(), count,
                     g.device_data<T>() + first, w.device_data<T>() + first,
                     m.device_data<T>() + first, r.device_data<T>() + first, flags.data());
      });
      finite = flags.all();
    });

}  // namespace
}  // namespace maskgrad
