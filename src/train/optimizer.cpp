#include <maskgrad/train/finite.hpp>
#include <maskgrad/train/optimizer.hpp>

namespace maskgrad {

void Optimizer::step(ParameterBuffer& parameters, double lr, double gradient_scale) {
  const Tensor& values = parameters.values();
  check(values.shape() == shape_ && values.dtype() == dtype_, name_,
        "was made for parameters {} {}, not {} {}", to_string(dtype_), shape_,
        to_string(values.dtype()), values.shape());
  ++steps_;
  if (!update(parameters, lr, gradient_scale)) [[unlikely]]
    check_finite(parameters, lr);
}

void Optimizer::check_finite(ParameterBuffer& parameters, double lr) {
  if (const auto found = find_not_finite(parameters, parameters.gradients())) {
    fail(name_, "the gradient of {} is {} at element {}", found->parameter, found->value,
         found->element);
  }
  if (const auto found = find_not_finite(parameters, parameters.values())) {
    fail(name_, "{} becomes {} at element {}, at learning rate {}", found->parameter, found->value,
         found->element, lr);
  }
  for (const auto& [key, flat] : state()) {
    if (const auto found = find_not_finite(parameters, flat)) {
      fail(name_, "its {} of {} is {} at element {}", key, found->parameter, found->value,
           found->element);
    }
  }
}

}  // namespace maskgrad
