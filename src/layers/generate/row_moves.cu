#include <maskgrad/layers/generate/row_moves.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad {
namespace {

// `moves`: from and to of each, one behind the other.
template <class T>
__global__ void put_rows_kernel(const std::int64_t* moves, std::int64_t count,
                                std::int64_t features, std::int64_t step, const T* rows, T* kept) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count * features) return;
  const std::int64_t* const move = moves + 2 * (i / features);
  const std::int64_t feature = i % features;
  kept[move[1] + feature * step] = rows[move[0] * features + feature];
}

void put_rows_on_device(std::span<const RowMove> moves, std::int64_t step, const Tensor& rows,
                        Tensor& kept) {
  PoolVector<std::int64_t> numbers;
  for (const RowMove& move : moves) numbers.insert(numbers.end(), {move.from, move.to});
  const Tensor uploaded =
      Tensor::from(std::span<const std::int64_t>(numbers), {std::ssize(moves), 2}, rows.device());
  const std::int64_t elements = std::ssize(moves) * rows.dim(2);
  dispatch_dtype(FloatingTypes{}, rows.dtype(), "cache", [&]<class T>(T) {
    cuda::launch({"cache", cuda::blocks_for(elements), cuda::kThreads}, put_rows_kernel<T>,
                 uploaded.device_data<std::int64_t>(), std::ssize(moves), rows.dim(2), step,
                 rows.device_data<T>(), kept.device_data<T>());
  });
}

const bool kFilled = kPutRowsCuda.fill(put_rows_on_device);

}  // namespace
}  // namespace maskgrad
