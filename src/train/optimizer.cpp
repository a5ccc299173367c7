#include <maskgrad/train/optimizer.hpp>

namespace maskgrad {

void Optimizer::step(ParameterBuffer& parameters, double lr, double gradient_scale) {
  const Tensor& values = parameters.values();
  check(values.shape() == shape_ && values.dtype() == dtype_, name_,
        "was made for parameters {} {}, not {} {}", to_string(dtype_), shape_,
        to_string(values.dtype()), values.shape());
  ++steps_;
  update(parameters, lr, gradient_scale);
}

}  // namespace maskgrad
