#include <cmath>

#include <maskgrad/train/diverged.hpp>
#include <maskgrad/train/finite_parameters.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>
#include <maskgrad/train/optim/gradient_transform.hpp>

namespace maskgrad {
namespace {

double finite_norm(ParameterBuffer& parameters) {
  const double norm = gradient_norm(parameters);
  if (std::isfinite(norm)) return norm;
  if (const auto found = find_not_finite(parameters, parameters.gradients())) {
    throw Diverged("clip_norm", fmt::format("the gradient of {} is {} at element {}",
                                            found->parameter, found->value, found->element));
  }
  throw Diverged("clip_norm", "the norm of the gradients is more than a double holds");
}

}  // namespace

GradientTransform clip_norm(double most) {
  return [most](GradientStep& step) {
    if (step.late && step.counts && step.parameters.dtype() == DType::kFloat32) {
      step.metrics.push_back(
          {"grad_norm", clip_late(step.parameters, step.scale, most, *step.late), 1});
      step.scale = 1.0;  // late.scale has it
      return;
    }
    const double norm = step.counts ? step.scale * finite_norm(step.parameters) : 0.0;
    const double factor = clip_factor(norm, most);
    check(factor > 0, "train",
          "step {}: the gradients have norm {}; scaled to clip_norm {} nothing is left of them",
          step.step, norm, most);
    step.scale *= factor;
    step.metrics.push_back({"grad_norm", norm, step.counts ? 1 : 0});
  };
}

}  // namespace maskgrad
