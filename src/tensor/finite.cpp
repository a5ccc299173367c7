#include <cmath>

#include <maskgrad/tensor/finite.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/readable.hpp>

namespace maskgrad {

std::optional<NotFinite> find_not_finite(const Tensor& given, const SequenceMask& mask) {
  const Tensor x = given.to(Device{});
  const auto find = [&]<class T>(T) -> std::optional<NotFinite> {
    const T* values = x.data<T>();
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      if (std::isfinite(values[i]) || is_hole(mask, x.shape(), i)) continue;
      return NotFinite{i, readable(static_cast<double>(values[i]))};
    }
    return std::nullopt;
  };
  return dispatch_dtype(FloatingTypes{}, x.dtype(), "finite", find);
}

}  // namespace maskgrad
