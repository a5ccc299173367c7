#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

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

void refuse_undefined(const std::string& op, const std::string& input) {
  fail(op.c_str(), "input '{}' was used before it was given a value", input);
}

double real_argument(const OpDef& op, const char* argument, Scalar value, DType dtype) {
  const char* name = op.name.c_str();
  if (is_floating(dtype)) value.check_fits(name, argument, dtype);
  return value.to<double>(name, argument);
}

void check_same_device(const char* name, const Tensor& a, const Tensor& b) {
  check(a.device() == b.device(), name, "got one input on {} and another on {}",
        to_string(a.device().type), to_string(b.device().type));
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

Random random_of_call(const OpCall& call, const char* stream) {
  const auto& state = call.arg<std::vector<std::int64_t>>("state");
  if (!state.empty()) return Random::from_state(state);
  return Random(static_cast<std::uint64_t>(call.arg<std::int64_t>("seed")), stream_of(stream));
}

}  // namespace maskgrad::ops
