#include <maskgrad/tensor/cast.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad {
namespace {

template <class From, class To>
__global__ void cast_kernel(const From* x, To* y, std::int64_t count) {
  const std::int64_t i = cuda::thread_number();
  if (i < count) y[i] = static_cast<To>(x[i]);
}

void cast(const Tensor& x, Tensor& y) {
  check(is_floating(x.dtype()) && is_floating(y.dtype()), "tensor",
        "on cuda only floating types are converted, not {} to {}; do it on the host",
        to_string(x.dtype()), to_string(y.dtype()));
  dispatch_dtype(FloatingTypes{}, x.dtype(), "cast", [&]<class From>(From) {
    dispatch_dtype(FloatingTypes{}, y.dtype(), "cast", [&]<class To>(To) {
      cuda::launch({"cast", cuda::blocks_for(x.numel()), cuda::kThreads}, cast_kernel<From, To>,
                   x.device_data<From>(), y.device_data<To>(), x.numel());
    });
  });
}

const bool kFilled = kCastCuda.fill(cast);

}  // namespace
}  // namespace maskgrad
