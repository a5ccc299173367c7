// Numbers that are not finite.
#pragma once

#include <cstdint>
#include <optional>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// An Inf or NaN, and where it stands.
struct NotFinite {
  std::int64_t element;
  double value;  // a NaN has no sign here
};

/// What a model throws where a number that it needs is Inf or NaN. In training the Trainer says at
/// which step that was, and what gave the number.
class NotFiniteError : public Error {
 public:
  using Error::Error;
};

/// Returns the first Inf or NaN of x [B, S, ...], in row-major order, or nothing when there is
/// none. Holes of the mask are left out. Without a mask x may have any shape. What is on a device
/// is brought to the host first. Throws Error unless x is floating.
std::optional<NotFinite> find_not_finite(const Tensor& x, const SequenceMask& mask = {});

}  // namespace maskgrad
