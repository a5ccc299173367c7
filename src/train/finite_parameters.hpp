// Parameters, gradients and states that are not finite, by name.
#pragma once

#include <optional>
#include <string>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/finite.hpp>

namespace maskgrad {

/// An Inf or NaN among what belongs to one parameter.
struct NotFiniteIn {
  std::string parameter;
  std::int64_t element;  // of that parameter
  double value;
};

/// The first Inf or NaN of a flat tensor in the order of a model's parameters: their values, their
/// gradients, or what an optimizer remembers of each. Returns nothing where all is finite.
std::optional<NotFiniteIn> find_not_finite(const ParameterBuffer& parameters, const Tensor& flat);

}  // namespace maskgrad
