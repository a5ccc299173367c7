#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {
namespace {

// Of samples: keys [T, F], or the same in blocks [N, F, 16].
struct Sizes {
  std::int64_t keys, features, of_blocks;

  // Where key t stands in blocks, feature f, of sample b.
  __device__ std::int64_t in_blocks(std::int64_t b, std::int64_t t, std::int64_t f) const {
    return b * of_blocks + (t / kKeysOfBlock * features + f) * kKeysOfBlock + t % kKeysOfBlock;
  }
};

// A thread for each place of the blocks.
template <class T>
__global__ void to_blocks_kernel(const T* keys, Sizes sizes, std::int64_t count, T* blocks) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  const std::int64_t b = i / sizes.of_blocks, of_sample = i % sizes.of_blocks;
  const std::int64_t feature = of_sample / kKeysOfBlock % sizes.features;
  const std::int64_t key =
      of_sample / kKeysOfBlock / sizes.features * kKeysOfBlock + of_sample % kKeysOfBlock;
  blocks[i] = key < sizes.keys ? keys[(b * sizes.keys + key) * sizes.features + feature] : T{0};
}

// A thread for each place of the keys; 0 where blocks have fewer.
template <class T>
__global__ void from_blocks_kernel(const T* blocks, Sizes sizes, std::int64_t count, T* keys) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  const std::int64_t row = i / sizes.features, b = row / sizes.keys, t = row % sizes.keys;
  const bool is_there = t / kKeysOfBlock * sizes.features * kKeysOfBlock < sizes.of_blocks;
  keys[i] = is_there ? blocks[sizes.in_blocks(b, t, i % sizes.features)] : T{0};
}

Sizes sizes_of(const Tensor& keys, const Tensor& blocks) {
  return {keys.dim(1), keys.dim(2), blocks.dim(1) * blocks.dim(2) * kKeysOfBlock};
}

const bool kFilled = kToKeyBlocksCuda.fill([](const Tensor& keys, Tensor& blocks) {
  dispatch_dtype(FloatingTypes{}, keys.dtype(), "key_blocks", [&]<class T>(T) {
    cuda::launch({"key_blocks", cuda::blocks_for(blocks.numel()), cuda::kThreads},
                 to_blocks_kernel<T>, keys.device_data<T>(), sizes_of(keys, blocks), blocks.numel(),
                 blocks.device_data<T>());
  });
}) && kFromKeyBlocksCuda.fill([](const Tensor& blocks, Tensor& keys) {
  dispatch_dtype(FloatingTypes{}, keys.dtype(), "key_blocks", [&]<class T>(T) {
    cuda::launch({"key_blocks", cuda::blocks_for(keys.numel()), cuda::kThreads},
                 from_blocks_kernel<T>, blocks.device_data<T>(), sizes_of(keys, blocks),
                 keys.numel(), keys.device_data<T>());
  });
});

}  // namespace
}  // namespace maskgrad::ops
