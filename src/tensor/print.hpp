// Tensors and counts as text.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// Dtype and shape, then the elements nested in brackets, as NumPy shows them:
///   float32 (2, 3)
///   [[  1, 2.5,  -3],
///    [nan, inf, 0.1]]
/// Real numbers have up to six significant digits. Of a long dimension the first and last entries
/// are shown, with "..." between them, so that no shape gives more than about 30 lines. A tensor
/// without a value is "undefined".
std::string to_string(const Tensor& x);

std::ostream& operator<<(std::ostream& out, const Tensor& x);

/// 49145 -> "49,145".
std::string with_commas(std::int64_t number);

/// "1 sample", "2,000 samples", "0 samples": how many there are of `what`, which forms its plural
/// with an s.
std::string count_of(std::int64_t count, std::string_view what);

}  // namespace maskgrad
