#include <maskgrad/tensor/cuda/uploads.hpp>
#include <maskgrad/train/optim/late_update_kernels.hpp>
#include <maskgrad/train/optim/sgd_rule.hpp>

namespace maskgrad {
namespace {

// Where a gradient is not finite, value and momentum stay as they are.
template <class T>
__global__ void sgd_kernel(const SgdFactors* uploaded, const double* late_scale,
                           cuda::FiniteWords finite, std::int64_t count, const T* gradients, T* w,
                           T* u) {
  if (!finite.may_update()) return;
  SgdFactors factors = *uploaded;
  if (late_scale) factors.gradient_scale *= *late_scale;
  const SgdRule<T> rule(factors);
  bool all = true;
  for (std::int64_t i = cuda::thread_number(); i < count; i += cuda::thread_count()) {
    const T g = rule.scaled(gradients[i]);
    if (!rule.is_finite(g)) {
      all = false;
      continue;
    }
    const auto next = rule.next(g, {w[i], u[i]});
    w[i] = next.w;
    u[i] = next.u;
    all = all && next.w - next.w == T{0};
  }
  finite.find_result(all);
}

const bool kFilled =
    kSgdCuda.fill([](const SgdFactors& factors, std::int64_t first, std::int64_t count,
                     const Tensor& g, Tensor& w, Tensor& u, LateUpdate* late) {
      const cuda::Uploaded uploaded(factors);
      dispatch_dtype(FloatingTypes{}, w.dtype(), "sgd", [&]<class T>(T) {
        cuda::launch({"sgd", cuda::blocks_of_stride(count), cuda::kThreads}, sgd_kernel<T>,
                     uploaded.data(), cuda::scale_of(*late), cuda::FiniteWords(late->finite), count,
                     g.device_data<T>() + first, w.device_data<T>() + first,
                     u.device_data<T>() + first);
      });
    });

}  // namespace
}  // namespace maskgrad
