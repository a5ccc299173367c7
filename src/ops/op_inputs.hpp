// Inputs that several operations have, and what they check of them. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/autograd/op_def.hpp>

namespace maskgrad::ops {

/// A bool input that says which places of the others count.
InputSpec mask_input(Reach reach, const char* name = "mask");
/// int32 or int64, of which no gradient is taken: lengths, centers.
InputSpec integer_input(const char* name);
InputSpec optional(InputSpec input);

[[noreturn]] void refuse_undefined(const std::string& op, const std::string& input);
/// Throws Error "[add] input 'a' was used before it was given a value" when one of these, the first
/// of op.inputs, is undefined.
inline void check_defined(const OpDef& op, std::initializer_list<const Variable*> inputs) {
  for (const Variable* const* input = inputs.begin(); input != inputs.end(); ++input) {
    if (!(*input)->defined()) [[unlikely]]
      refuse_undefined(op.name, op.inputs[static_cast<std::size_t>(input - inputs.begin())].name);
  }
}
/// The same for an input that comes as a tensor.
inline void check_defined(const OpDef& op, const char* input, const Tensor& value) {
  if (!value.defined()) [[unlikely]]
    refuse_undefined(op.name, input);
}

/// A real argument of an operation on values of this dtype, which does not leave the range of its
/// dtype. Throws Error "[scale] factor 1e+39 is no float32" otherwise.
double real_argument(const OpDef& op, const char* argument, Scalar value, DType dtype);

/// Throws Error "[name] got one input on cuda and another on cpu" unless both are on one device.
void check_same_device(const char* name, const Tensor& a, const Tensor& b);

/// Throws Error "[name] a mask of int32 (3,) does not fit an input of (2, 3)" unless `keep` is bool
/// and broadcasts to `shape`.
void check_mask_fits(const char* name, const Tensor& keep, const Shape& shape);
/// The generator that the argument "state" says; where that is empty, one of the argument "seed"
/// and a stream of this name.
Random random_of_call(const OpCall& call, const char* stream);

/// `keep` for each element of x, as a tensor of its own. What the mask of x leaves out is not kept
/// either. Throws Error as check_mask_fits.
Tensor kept_elements(const char* name, const Variable& x, const Tensor& keep);

}  // namespace maskgrad::ops
