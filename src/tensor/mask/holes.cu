#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad {
namespace {

// `each`: the elements of one position.
template <class T>
__global__ void fill_holes_kernel(T* x, const bool* keep, T value, std::int64_t count,
                                  std::int64_t each) {
  const std::int64_t i = cuda::thread_number();
  if (i < count && !keep[i / each]) x[i] = value;
}

void fill_holes_on_device(Tensor& x, const SequenceMask& mask, Scalar value) {
  if (x.numel() == 0) return;
  const Tensor& keep = mask.bits_on(x.device());
  dispatch_dtype(AllTypes{}, x.dtype(), "fill_holes", [&]<class T>(T) {
    cuda::launch({"fill_holes", cuda::blocks_for(x.numel()), cuda::kThreads}, fill_holes_kernel<T>,
                 x.device_data<T>(), keep.device_data<bool>(), value.to<T>("mask", "fill"),
                 x.numel(), x.numel() / keep.numel());
  });
}

const bool kFilled = kFillHolesCuda.fill(fill_holes_on_device);

}  // namespace
}  // namespace maskgrad
