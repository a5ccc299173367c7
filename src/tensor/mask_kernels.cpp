#include <algorithm>
#include <cstring>

#include <maskgrad/tensor/mask_kernels.hpp>

namespace maskgrad {

bool is_hole(const SequenceMask& mask, const Shape& shape, std::int64_t element) {
  if (!mask.defined()) return false;
  return !mask.bits().data<bool>()[element / (shape.numel() / mask.bits().numel())];
}

bool holes_hold(const Tensor& x, const SequenceMask& mask, double value) {
  const std::int64_t positions = mask.bits().numel();
  const std::int64_t row = positions ? x.numel() / positions : 0;
  return dispatch_dtype(AllTypes{}, x.dtype(), "holes_hold", [&]<class T>(T) {
    const T *data = x.data<T>(), wanted = static_cast<T>(value);
    for (std::int64_t i = 0; i < positions; ++i, data += row) {
      if (mask.bits().data<bool>()[i]) continue;
      for (std::int64_t j = 0; j < row; ++j) {
        if (std::memcmp(data + j, &wanted, sizeof(T)) != 0) return false;  // -0 is not 0
      }
    }
    return true;
  });
}

Tensor without_holes(const Tensor& x, const SequenceMask& mask) {
  if (!mask.defined()) return x;
  Tensor kept = x.clone();
  fill_holes(kept, mask, 0.0);
  return kept;
}

void fill_holes(Tensor& x, const SequenceMask& mask, double value) {
  check(x.shape().starts_with(mask.shape()), "mask", "a mask of {} does not fit a value of {}",
        mask.shape(), x.shape());
  const std::int64_t positions = mask.bits().numel();
  if (positions == 0) return;
  const std::int64_t row = x.numel() / positions;
  dispatch_device(x.device(), "fill_holes", [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), "fill_holes", [&]<class T>(T) {
      const bool* keep = mask.bits().data<bool>();
      T* data = x.data<T>();
      for (std::int64_t i = 0; i < positions; ++i) {
        if (!keep[i]) std::fill_n(data + i * row, row, static_cast<T>(value));
      }
    });
  });
}

}  // namespace maskgrad
