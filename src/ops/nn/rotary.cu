#include <maskgrad/ops/functors/rotation.hpp>
#include <maskgrad/ops/nn/rotary.hpp>
#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::ops {
namespace {

struct Layout {
  std::int64_t heads, pairs;
  std::int64_t first, second;  // where a pair begins, in a head
  std::int64_t step;           // from one pair to the next
};

// The inverse rotates pairs whose two places are exchanged.
Layout layout_of(const RotaryOptions& options, std::int64_t pairs, bool inverse) {
  const bool by_halves = options.pairs == RotaryPairs::kHalves;
  Layout layout{options.heads, pairs, 0, by_halves ? pairs : 1, by_halves ? 1 : 2};
  if (inverse) std::swap(layout.first, layout.second);
  return layout;
}

// A thread for each pair.
template <class T>
__global__ void rotary_kernel(const T* x, const T* cosines, const T* sines,
                              const std::int64_t* turns, Layout layout, std::int64_t count, T* y) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  const std::int64_t head = i / layout.pairs, pair = i % layout.pairs;
  const std::int64_t place = head * 2 * layout.pairs + pair * layout.step;
  const std::int64_t turn = turns[head / layout.heads];
  T &first = y[place + layout.first], &second = y[place + layout.second];
  if (turn < 0) {
    first = second = 0;
    return;
  }
  const T a = x[place + layout.first], b = x[place + layout.second];
  const T cosine = cosines[turn * layout.pairs + pair], sine = sines[turn * layout.pairs + pair];
  first = functors::RotatedFirst()(a, b, cosine, sine);
  second = functors::RotatedSecond()(a, b, cosine, sine);
}

void rotate(const Tensor& x, const Tensor& cosines, const Tensor& sines, const Tensor& turns,
            const RotaryOptions& options, bool inverse, Tensor& y) {
  const std::int64_t count = x.numel() / 2;
  dispatch_dtype(FloatingTypes{}, x.dtype(), "rotary_embedding", [&]<class T>(T) {
    cuda::launch({"rotary_embedding", cuda::blocks_for(count), cuda::kThreads}, rotary_kernel<T>,
                 x.device_data<T>(), cosines.device_data<T>(), sines.device_data<T>(),
                 turns.device_data<std::int64_t>(), layout_of(options, cosines.dim(1), inverse),
                 count, y.device_data<T>());
  });
}

const bool kFilled = kRotaryEmbeddingCuda.fill(rotate);

}  // namespace
}  // namespace maskgrad::ops
