// Numbers as messages show them. Internal to src.
#pragma once

#include <cmath>

namespace maskgrad {

/// `x`, but for the sign of a NaN, which says nothing: a message reads "nan", never "-nan".
inline double readable(double x) { return std::isnan(x) ? std::abs(x) : x; }

}  // namespace maskgrad
