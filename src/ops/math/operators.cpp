#include <maskgrad/ops/math/operators.hpp>

namespace maskgrad::ops {

Variable constant_like(const char* name, Scalar value, const Variable& x) {
  check_given(x.defined(), name, "an operand");
  value.check_fits(name, "the number", x.dtype());
  return Variable(Tensor::full({}, value, x.dtype(), x.device()));
}

}  // namespace maskgrad::ops
