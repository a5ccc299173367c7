#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>

#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad {

bool is_hole(const SequenceMask& mask, const Shape& shape, std::int64_t element) {
  return !KeptPlaces(mask, shape)[element];
}

namespace {

// By bits, as -0 is not 0.
template <class T>
auto bits_of(T value) {
  if constexpr (sizeof(T) == 8) {
    return std::bit_cast<std::uint64_t>(value);
  } else if constexpr (sizeof(T) == 4) {
    return std::bit_cast<std::uint32_t>(value);
  } else {
    return std::bit_cast<std::uint8_t>(value);
  }
}

void check_fits(const Tensor& x, const SequenceMask& mask) {
  check_given(x.defined(), "mask", "a value");
  check(x.shape().starts_with(mask.shape()), "mask", "a mask of {} does not fit a value of {}",
        mask.shape(), x.shape());
}

// Calls f(first, last) for the elements of the holes, neighbours at once, parts of the positions
// side by side.
template <class T, class F>
void for_each_hole(T* data, std::int64_t size, const SequenceMask& mask, F f) {
  constexpr std::int64_t kLeast = 512;  // positions
  const std::int64_t positions = mask.bits().numel();
  const std::int64_t row = positions ? size / positions : 0;
  const bool* keep = mask.bits().data<bool>();
  parallel_for(positions, kLeast, [&](std::int64_t begin, std::int64_t end) {
    const bool *at = keep + begin, *const last = keep + end;
    while ((at = std::find(at, last, false)) != last) {
      const bool* const hole = std::exchange(at, std::find(at, last, true));
      f(data + (hole - keep) * row, data + (at - keep) * row);
    }
  });
}

// Whether is_fine(element) for all elements in the holes: of a hole all are asked, which is faster
// than a branch each.
template <class T, class F>
bool every_in_holes(const Tensor& x, const SequenceMask& mask, F is_fine) {
  std::atomic<bool> all = true;
  for_each_hole(x.data<T>(), x.numel(), mask, [&](const T* at, const T* end) {
    int wrong = 0;
    for (; at < end; ++at) wrong |= !is_fine(*at);
    if (wrong) all.store(false, std::memory_order_relaxed);
  });
  return all;
}

}  // namespace

bool holes_hold(const Tensor& x, const SequenceMask& mask, Scalar value) {
  check_fits(x, mask);
  return dispatch_dtype(AllTypes{}, x.dtype(), "holes_hold", [&]<class T>(T) {
    const auto wanted = bits_of(value.to<T>("mask", "fill"));
    return every_in_holes<T>(x, mask, [wanted](T element) { return bits_of(element) == wanted; });
  });
}

bool holes_are_finite(const Tensor& x, const SequenceMask& mask) {
  check_fits(x, mask);
  return dispatch_dtype(FloatingTypes{}, x.dtype(), "holes_are_finite", [&]<class T>(T) {
    return every_in_holes<T>(x, mask, [](T element) { return std::isfinite(element); });
  });
}

void drop_holes(Tensor& x, const SequenceMask& mask) {
  if (!mask.defined()) return;
  if (!x.is_exclusive()) {
    if (x.device().type == DeviceType::kCpu && holes_hold(x, mask, 0.0)) return;
    x = x.clone();
  }
  fill_holes(x, mask, 0.0);
}

Tensor without_holes(const Tensor& x, const SequenceMask& mask) {
  if (!mask.defined()) return x;
  Tensor kept = x.clone();
  fill_holes(kept, mask, 0.0);
  return kept;
}

Tensor holes_of(const SequenceMask& mask, const Shape& shape) {
  Tensor holes = Tensor::zeros(shape, DType::kBool);
  if (mask.defined()) fill_holes(holes, mask, true);
  return holes;
}

void fill_holes(Tensor& x, const SequenceMask& mask, Scalar value) {
  check_fits(x, mask);
  const auto on_cpu = [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), "fill_holes", [&]<class T>(T) {
      const T filling = value.to<T>("mask", "fill");
      for_each_hole(x.data<T>(), x.numel(), mask,
                    [filling](T* at, T* end) { std::fill(at, end, filling); });
    });
  };
  dispatch_device(x.device(), kFillHolesCuda, on_cpu, x, mask, value);
}

}  // namespace maskgrad
