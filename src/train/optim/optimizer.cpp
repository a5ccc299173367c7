#include <maskgrad/train/finite_parameters.hpp>
#include <maskgrad/train/optim/gradient_scale.hpp>
#include <maskgrad/train/optim/optimizer.hpp>

namespace maskgrad {
namespace {

// Gradients on the host, as the loops of the optimizers scale them.
Tensor scaled(const Tensor& gradients, double gradient_scale) {
  Tensor result = gradients.clone();
  dispatch_dtype(FloatingTypes{}, result.dtype(), "optimizer", [&]<class T>(T) {
    const GradientScale<T> scale(gradient_scale);
    T* g = result.data<T>();
    for (std::int64_t i = 0; i < result.numel(); ++i) g[i] = g[i] * scale.first * scale.second;
  });
  return result;
}

}  // namespace

void Optimizer::check_fits(const ParameterBuffer& parameters) const {
  const Tensor& values = parameters.values();
  check(values.device() == device_, name_, "is on {}, the parameters are on {}",
        to_string(device_.type), to_string(values.device().type));
  check(values.shape() == shape_ && values.dtype() == dtype_, name_,
        "was made for parameters {} {}, not {} {}", to_string(dtype_), shape_,
        to_string(values.dtype()), values.shape());
}

bool Optimizer::update_groups(ParameterBuffer& parameters, double lr, double gradient_scale,
                              LateUpdate* late) {
  check_fits(parameters);
  ++steps_;
  bool finite = true;
  for (const ParameterBuffer::GroupSpan& span : parameters.groups()) {
    const auto& [group, first, end] = span;
    if (group.frozen || first == end || (group.rests && !parameters.has_gradients(span))) continue;
    const Part part = {first, end, lr * group.lr_factor, group.weight_decay};
    if (!update(parameters, part, gradient_scale, late)) finite = false;
  }
  return finite;
}

void Optimizer::step(ParameterBuffer& parameters, double lr, double gradient_scale) {
  bool finite;
  if (device_.type == DeviceType::kCpu) {
    finite = update_groups(parameters, lr, gradient_scale, nullptr);
  } else {
    LateUpdate late(device_);
    step_late(parameters, lr, gradient_scale, late);
    finite = late.finite[1].item() != 0;
  }
  if (finite) [[likely]]
    return;
  check_gradients(parameters, gradient_scale);
  check_values(parameters, lr);
}

void Optimizer::step_late(ParameterBuffer& parameters, double lr, double gradient_scale,
                          LateUpdate& late) {
  update_groups(parameters, lr, gradient_scale, &late);
}

void Optimizer::check_gradients(ParameterBuffer& parameters, double gradient_scale) const {
  const Tensor gradients = parameters.gradients().to(Device{});
  if (const auto found = find_not_finite(parameters, gradients)) {
    fail(name_, "the gradient of {} is {} at element {}", found->parameter, found->value,
         found->element);
  }
  if (const auto found = find_not_finite(parameters, scaled(gradients, gradient_scale))) {
    fail(name_, "the gradient of {}, scaled by {}, is {} at element {}", found->parameter,
         gradient_scale, found->value, found->element);
  }
}

void Optimizer::check_values(const ParameterBuffer& parameters, double lr) {
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
