#include <maskgrad/tensor/cuda/uploads.hpp>
#include <maskgrad/train/optim/adam_rule.hpp>
#include <maskgrad/train/optim/late_update_kernels.hpp>

namespace maskgrad {
namespace {

template <class T>
__global__ void adam_kernel(const AdamFactors* uploaded, const double* late_scale,
                            cuda::FiniteWords finite, std::int64_t count, const T* gradients, T* w,
                            T* m, T* r) {
  if (!finite.may_update()) return;
  AdamFactors factors = *uploaded;
  if (late_scale) factors.gradient_scale *= *late_scale;
  const AdamRule<T> rule(factors);
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
  finite.find_result(all);
}

const bool kFilled =
    kAdamCuda.fill([](const AdamFactors& factors, std::int64_t first, std::int64_t count,
                      const Tensor& g, Tensor& w, Tensor& m, Tensor& r, LateUpdate* late) {
      const cuda::Uploaded uploaded(factors);
      dispatch_dtype(FloatingTypes{}, w.dtype(), "adam", [&]<class T>(T) {
        cuda::launch({"adam", cuda::blocks_of_stride(count), cuda::kThreads}, adam_kernel<T>,
                     uploaded.data(), cuda::scale_of(*late), cuda::FiniteWords(late->finite), count,
                     g.device_data<T>() + first, w.device_data<T>() + first,
                     m.device_data<T>() + first, r.device_data<T>() + first);
      });
    });

}  // namespace
}  // namespace maskgrad
