#include <maskgrad/tensor/tape.hpp>
#include <maskgrad/tensor/variable.hpp>

namespace maskgrad {

Variable::Variable(Tensor value, Grad grad, SequenceMask mask)
    : value_(std::move(value)), mask_(std::move(mask)) {
  check(!mask_.defined() || value_.shape().starts_with(mask_.shape()), "variable",
        "a mask of {} does not fit a value of {}", mask_.shape(), value_.shape());
  if (grad == kConstant) return;
  check(is_floating(value_.dtype()), "variable", "only floating values take gradients, not {}",
        to_string(value_.dtype()));
  slot_ = make_ref<GradSlot>(value_.shape(), value_.dtype(), mask_, std::uint64_t{0});
}

Tensor Variable::grad() const {
  check(requires_grad(), "variable", "takes no gradient");
  return slot_->has_grad ? slot_->grad : Tensor();
}

void Variable::clear_grad() {
  check(requires_grad(), "variable", "takes no gradient");
  slot_->has_grad = false;
  if (!slot_->is_bound) slot_->grad = Tensor();
}

void Variable::bind(Tensor value, Tensor grad) {
  check(requires_grad() && slot_->tape == 0, "variable", "only a leaf can be bound to a buffer");
  for (const Tensor* buffer : {&value, &grad}) {
    check(buffer->shape() == shape() && buffer->dtype() == dtype(), "variable",
          "a buffer of {} {} does not fit a leaf of {} {}", to_string(buffer->dtype()),
          buffer->shape(), to_string(dtype()), shape());
  }
  value.copy_from(value_);
  value_ = std::move(value);
  slot_->grad = std::move(grad);
  slot_->has_grad = false;
  slot_->is_bound = true;
}

Variable drop_mask(const Variable& x) {
  Variable result = x;
  if (x.mask_.defined()) result.slot_ = Tape::slot_of(x);
  result.mask_ = SequenceMask();
  return result;
}

}  // namespace maskgrad
