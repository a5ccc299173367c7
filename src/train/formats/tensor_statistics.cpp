#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <utility>

#include <maskgrad/train/formats/half.hpp>
#include <maskgrad/train/formats/tensor_statistics.hpp>

namespace maskgrad {
namespace {

template <HalfKind kind>
struct Half {
  std::uint16_t bits;
  explicit operator double() const { return from_half(kind, bits); }
};

// Calls f with each element as a double. The data need not be aligned.
template <class T, class F>
void for_each_element(std::string_view data, F f) {
  for (std::size_t at = 0; at + sizeof(T) <= data.size(); at += sizeof(T)) {
    T element;
    std::memcpy(&element, data.data() + at, sizeof element);
    f(static_cast<double>(element));
  }
}

// The power of two that brings the largest number to between 1 and 2, where sums neither overflow
// nor vanish.
int scale_of(const TensorStatistics& s) {
  const double most = std::max(std::abs(s.min), std::abs(s.max));
  return most > 0 ? -std::ilogb(most) : 0;
}

template <class T>
TensorStatistics compute(std::string_view data) {
  TensorStatistics s;
  for_each_element<T>(data, [&](double x) {
    const std::int64_t finite = s.count - s.not_finite;
    ++s.count;
    if (!std::isfinite(x)) {
      ++s.not_finite;
      return;
    }
    s.zeros += x == 0;
    s.min = finite == 0 ? x : std::min(s.min, x);
    s.max = finite == 0 ? x : std::max(s.max, x);
  });
  if (s.count == s.not_finite) return s;
  const auto finite = static_cast<double>(s.count - s.not_finite);
  const int scale = scale_of(s);
  const double first = std::ldexp(s.min, scale);
  double sum = 0;  // of the distances from the smallest, so that equal numbers have no rounding
  for_each_element<T>(data, [&](double x) {
    if (std::isfinite(x)) sum += std::ldexp(x, scale) - first;
  });
  const double mean = first + sum / finite;
  double squares = 0;
  for_each_element<T>(data, [&](double x) {
    if (!std::isfinite(x)) return;
    const double distance = std::ldexp(x, scale) - mean;
    squares += distance * distance;
  });
  s.mean = std::ldexp(mean, -scale);
  s.std = std::ldexp(std::sqrt(squares / finite), -scale);
  return s;
}

}  // namespace

std::optional<TensorStatistics> statistics_of(const SafetensorsEntry& entry) {
  using Compute = TensorStatistics (*)(std::string_view);
  static const std::map<std::string_view, Compute> kByDtype = {
      {"F64", compute<double>},
      {"F32", compute<float>},
      {"F16", compute<Half<HalfKind::kFloat16>>},
      {"BF16", compute<Half<HalfKind::kBFloat16>>},
      {"I64", compute<std::int64_t>},
      {"U64", compute<std::uint64_t>},
      {"I32", compute<std::int32_t>},
      {"U32", compute<std::uint32_t>},
      {"I16", compute<std::int16_t>},
      {"U16", compute<std::uint16_t>},
      {"I8", compute<std::int8_t>},
      {"U8", compute<std::uint8_t>},
      {"BOOL", compute<std::uint8_t>},
  };
  const auto found = kByDtype.find(entry.dtype);
  if (found == kByDtype.end()) return std::nullopt;
  return found->second(entry.data);
}

TensorStatistics statistics_of(const Tensor& tensor) {
  const Tensor doubles = tensor.to(DType::kFloat64);
  const auto values = std::as_const(doubles).values<double>();
  return compute<double>({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

}  // namespace maskgrad
