#include <maskgrad/layers/generate/cache_rows.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad {
namespace {

template <class T>
__global__ void put_rows_kernel(const RowMove* moves, std::int64_t count, std::int64_t features,
                                std::int64_t step, const T* rows, T* kept) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count * features) return;
  const RowMove move = moves[i / features];
  const std::int64_t feature = i % features;
  kept[move.to + feature * step] = rows[move.from * features + feature];
}

void put_rows_on_device(std::span<const RowMove> moves, std::int64_t step, const Tensor& rows,
                        Tensor& kept) {
  const cuda::Uploaded uploaded(moves);
  const std::int64_t elements = std::ssize(moves) * rows.dim(2);
  dispatch_dtype(FloatingTypes{}, rows.dtype(), "cache", [&]<class T>(T) {
    cuda::launch({"cache", cuda::blocks_for(elements), cuda::kThreads}, put_rows_kernel<T>,
                 uploaded.data(), std::ssize(moves), rows.dim(2), step, rows.device_data<T>(),
                 kept.device_data<T>());
  });
}

const bool kFilled = kPutRowsCuda.fill(put_rows_on_device);

}  // namespace
}  // namespace maskgrad
