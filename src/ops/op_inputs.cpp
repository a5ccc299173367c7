#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/shape.hpp>
#include <maskgrad/tensor/mask_kernels.hpp>

namespace maskgrad::ops {

InputSpec mask_input(Reach reach, const char* name) {
  return {.name = name, .reach = reach, .dtypes = DTypes::kBool, .differentiable = false};
}

InputSpec integer_input(const char* name) {
  return {.name = name,
          .reach = Reach::kEverything,
          .dtypes = DTypes::kInteger,
          .differentiable = false};
}

InputSpec optional(InputSpec input) {
  input.optional = true;
  return input;
}

void check_mask_fits(const char* name, const Tensor& keep, const Shape& shape) {
  check(keep.dtype() == DType::kBool && can_broadcast(keep.shape(), shape), name,
        "a mask of {} {} does not fit an input of {}", to_string(keep.dtype()), keep.shape(),
        shape);
}

Tensor kept_elements(const char* name, const Variable& x, const Tensor& keep) {
  check_mask_fits(name, keep, x.shape());
  Tensor kept = keep.shape() == x.shape() ? keep.clone() : expand(keep, x.shape());
  if (x.mask().defined()) fill_holes(kept, x.mask(), 0.0);
  return kept;
}

}  // namespace maskgrad::ops
