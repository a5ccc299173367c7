#include <maskgrad/train/finite_parameters.hpp>

namespace maskgrad {

std::optional<NotFiniteIn> find_not_finite(const ParameterBuffer& parameters, const Tensor& flat) {
  const Tensor here = flat.to(Device{});  // at once
  for (const ParameterBuffer::Entry& entry : parameters.entries()) {
    const Tensor piece = here.view(entry.first, entry.parameter->shape());
    if (const auto found = find_not_finite(piece)) {
      return NotFiniteIn{entry.name, found->element, found->value};
    }
  }
  return std::nullopt;
}

}  // namespace maskgrad
