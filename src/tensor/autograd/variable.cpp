#include <cstring>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

namespace maskgrad {

void GradSlot::clear_buffer() {
  if (!dirty_rows || device.type != DeviceType::kCpu) {
    grad.fill(0.0);
  } else if (!dirty_rows->empty()) {
    const std::size_t row_bytes = grad.nbytes() / static_cast<std::size_t>(shape[0]);
    for (const std::int64_t row : *dirty_rows) {
      std::memset(grad.raw_data() + static_cast<std::size_t>(row) * row_bytes, 0, row_bytes);
    }
    Traffic::add_filled(dirty_rows->size() * row_bytes);
  }
  dirty_rows.emplace();
}

Variable::Variable(Tensor value, Grad grad, SequenceMask mask)
    : value_(std::move(value)), mask_(std::move(mask)) {
  check_given(value_.defined(), "variable", "the tensor");
  check(!mask_.defined() || value_.shape().starts_with(mask_.shape()), "variable",
        "a mask of {} does not fit a value of {}", mask_.shape(), value_.shape());
  if (grad == kConstant) return;
  check(is_floating(value_.dtype()), "variable", "only floating values take gradients, not {}",
        to_string(value_.dtype()));
  slot_ = make_ref<GradSlot>(value_, mask_, std::uint64_t{0});
}

Tensor Variable::grad() const {
  check_given(defined(), "variable", "it");
  check(requires_grad(), "variable", "takes no gradient");
  if (!slot_->has_grad) return {};
  slot_->dirty_rows.reset();
  return slot_->grad;
}

void Variable::clear_grad() {
  check_given(defined(), "variable", "it");
  check(requires_grad(), "variable", "takes no gradient");
  slot_->has_grad = false;
  slot_->dirty_rows.reset();  // the owner of a bound buffer may have written to it
  if (!slot_->is_bound) slot_->grad = Tensor();
}

void Variable::bind(Tensor value, Tensor grad) {
  check_given(defined() && value.defined() && grad.defined(), "variable", "a leaf or its buffer");
  check(requires_grad() && slot_->tape == 0, "variable", "only a leaf can be bound to a buffer");
  check(!slot_->is_shared(), "variable",
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
  slot_->device = grad.device();
  slot_->grad = std::move(grad);
  slot_->has_grad = false;
  slot_->dirty_rows.reset();
  slot_->is_bound = true;
}

Variable drop_mask(const Variable& x) {
  check_given(x.defined(), "drop_mask", "the input");
  Variable result = x;
  if (x.mask_.defined()) result.slot_ = Tape::slot_of(x);
  result.mask_ = SequenceMask();
  return result;
}

}  // namespace maskgrad
