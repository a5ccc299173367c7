// Making masks in tests.
#pragma once

#include <vector>

#include "support/tensors.hpp"

namespace maskgrad::test {

/// The mask with keep[b][s].
inline SequenceMask mask_of(const std::vector<double>& keep, const Shape& shape) {
  return SequenceMask(bits(keep, shape));
}

}  // namespace maskgrad::test
