#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/print.hpp>

namespace maskgrad {

Variable::Variable(Tensor value, Grad grad, SequenceMask mask)
    : value_(std::move(value)), mask_(std::move(mask)) {
  check_given(value_.defined(), "variable", "the tensor");
  check(!mask_.defined() || value_.shape().starts_with(mask_.shape()), "variable",
        "a mask of {} does not fit a value of {}", mask_.shape(), value_.shape());
  if (grad == kConstant) return;
  check(is_floating(value_.dtype()), "variable", "only floating values take gradients, not {}",
        to_string(value_.dtype()));
  gradient_ = make_ref<Gradient>(value_, mask_);
}

Tensor Variable::grad() const {
  check_given(defined(), "variable", "it");
  check(requires_grad(), "variable", "takes no gradient");
  return gradient_->give();
}

void Variable::clear_grad() {
  check_given(defined(), "variable", "it");
  check(requires_grad(), "variable", "takes no gradient");
  gradient_->forget_rows();  // the owner of a bound buffer may have written to it
  gradient_->clear();
}

Ref<Gradient> Variable::bind(Tensor value, Tensor grad) {
  check_given(defined() && value.defined() && grad.defined(), "variable", "a leaf or its buffer");
  check(requires_grad() && gradient_->is_leaf(), "variable",
        "only a leaf can be bound to a buffer");
  check(!gradient_->is_shared(), "variable",
        "a copy or a tape holds this leaf and would keep its old value; bind it before it is used");
  for (const Tensor* buffer : {&value, &grad}) {
    check(buffer->shape() == shape() && buffer->dtype() == dtype(), "variable",
          "a buffer of {} {} does not fit a leaf of {} {}", to_string(buffer->dtype()),
          buffer->shape(), to_string(dtype()), shape());
  }
  check(value.device() == grad.device(), "variable",
        "the value's buffer is on {} and the gradient's on {}", to_string(value.device().type),
        to_string(grad.device().type));
  value.copy_from(value_);
  value_ = std::move(value);
  gradient_->bind(std::move(grad));
  return gradient_;
}

Variable drop_mask(const Variable& x) {
  check_given(x.defined(), "drop_mask", "the input");
  Variable result = x;
  if (x.mask_.defined()) result.gradient_ = Tape::gradient_of(x, Tape::current());
  result.mask_ = SequenceMask();
  return result;
}

std::ostream& operator<<(std::ostream& out, const Variable& x) { return out << x.value(); }

}  // namespace maskgrad
