// Numbers that are not finite.
#pragma once

#include <cstdint>
#include <optional>

#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// An Inf or NaN, and where it stands.
struct NotFinite {
  std::int64_t element;
  double value;  // never -nan, which says no more than nan
};

/// The first Inf or NaN of a floating tensor x [B, S, ...], holes of the mask left out, if there is
/// one. Returns nothing where all is finite.
std::optional<NotFinite> find_not_finite(const Tensor& x, const SequenceMask& mask = {});

}  // namespace maskgrad
