#include <maskgrad/tensor/autograd/gradient.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad {

void Gradient::bind(Tensor buffer) {
  device_ = buffer.device();
  sum_ = std::move(buffer);
  has_arrived_ = false;
  is_bound_ = true;
  forget_rows();
}

Tensor Gradient::claim(bool is_alone) {
  forget_rows();
  const bool own = is_alone && is_bound_ && !has_arrived_;
  return own ? sum_ : Tensor::empty(shape_, dtype_, device_);
}

Tensor Gradient::claim_rows(bool is_alone, PoolVector<std::int64_t> rows) {
  if (!is_alone || !is_bound_ || has_arrived_) return Tensor::zeros(shape_, dtype_, device_);
  clear_buffer();
  dirty_rows_ = std::move(rows);
  return sum_;
}

void Gradient::check_fits(const char* op, std::size_t input, const Tensor& grad) const {
  check(grad.defined(), op, "gave no gradient for input {}", input);
  const bool fits = grad.shape() == shape_ || can_broadcast(shape_, grad.shape());
  check(grad.dtype() == dtype_ && fits, op, "gave a gradient of {} {} for input {} of {} {}",
        to_string(grad.dtype()), grad.shape(), input, to_string(dtype_), shape_);
  check(grad.device() == device_, op, "gave a gradient on {} for input {} on {}",
        to_string(grad.device().type), input, to_string(device_.type));
}

void Gradient::add(const char* op, std::size_t input, Tensor grad) {
  check_fits(op, input, grad);
  if (grad.shape() != shape_) grad = sum_to(op, grad, shape_);
  if (is_leaf()) drop_holes(grad, mask_);
  if (!grad.is_same_view(sum_)) forget_rows();
  if (has_arrived_) {
    if (!is_bound_ && !sum_.is_exclusive()) sum_ = sum_.clone();
    add_into(sum_, grad);
  } else if (is_bound_) {
    sum_.copy_from(grad);
  } else {
    // A leaf's gradient may be written to, so it shares no memory with what else holds this one.
    const bool is_shared = is_leaf() && !grad.is_exclusive();
    sum_ = is_shared ? grad.clone() : std::move(grad);
  }
  has_arrived_ = true;
}

Tensor Gradient::give() {
  if (!has_arrived_) return {};
  forget_rows();
  return sum_;
}

Tensor Gradient::take() {
  drop_holes(sum_, mask_);
  return std::exchange(sum_, Tensor());
}

void Gradient::clear() {
  has_arrived_ = false;
  if (!is_bound_) sum_ = Tensor();
}

void Gradient::set_arrived() {
  has_arrived_ = true;
  forget_rows();
}

void Gradient::complete() {
  if (is_bound_ && !has_arrived_) clear_buffer();
}

void Gradient::clear_buffer() {
  if (dirty_rows_) {
    clear_rows(sum_, *dirty_rows_);
  } else {
    sum_.fill(0.0);
  }
  dirty_rows_.emplace();
}

}  // namespace maskgrad
