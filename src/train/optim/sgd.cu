#include <maskgrad/tensor/cuda/block_flags.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>
#include <maskgrad/train/optim/sgd_rule.hpp>

namespace maskgrad {
namespace {

// Where a gradient is not finite, value and momentum stay as they are.
template <class T>
__global__ void sgd_kernel(const SgdRule<T>* uploaded, std::int64_t count, const T* gradients, T* w,
                           T* u, bool* finite) {
  const SgdRule<T> rule = *uploaded;
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
  cuda::write_flag(all, finite);
}

const bool kFilled =
    kSgdCuda.fill([](const SgdFactors& factors, std::int64_t first, std::int64_t count,
                     const Tensor& g, Tensor& w, Tensor& u, bool& finite) {
      const unsigned blocks = cuda::blocks_of_stride(count);
      cuda::BlockFlags flags(blocks, w.device());
      dispatch_dtype(FloatingTypes{}, w.dtype(), "sgd", [&]<class T>(T) {
        const SgdRule<T> rule(factors);
        const cuda::Uploaded uploaded(rule);
        cuda::launch({"sgd", blocks, cuda::kThreads}, sgd_kernel<T>, uploaded.data(), count,
                     g.device_data<T>() + first, w.device_data<T>() + first,
                     u.device_data<T>() + first, flags.data());
      });
      finite = flags.all();
    });

}  // namespace
}  // namespace maskgrad
