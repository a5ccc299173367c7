#include <algorithm>

#include <maskgrad/ops/elements/map.hpp>
#include <maskgrad/ops/math/broadcast_plan.hpp>

namespace maskgrad::ops::detail {
namespace {

template <class T>
void gather_rows(const BroadcastPlan& plan, const T* x, std::int64_t first, std::size_t count,
                 T* to) {
  BroadcastPlan::Row row = plan.row(first / plan.columns());
  std::int64_t column = first % plan.columns();
  for (auto left = static_cast<std::int64_t>(count);;) {
    const std::int64_t n = std::min(left, plan.columns() - column);
    const T* const from = x + row.offset(0);
    to = plan.has_columns(0) ? std::copy_n(from + column, n, to) : std::fill_n(to, n, *from);
    if ((left -= n) == 0) return;
    column = 0;
    row.next();
  }
}

}  // namespace

Shape shape_of_each(const char* name, std::initializer_list<const Tensor*> x) {
  Shape shape = (*x.begin())->shape();
  for (const Tensor* input : x) {
    check_given(input->defined(), name, "an input");
    const Tensor& first = **x.begin();
    check(input->dtype() == first.dtype(), name, "the inputs are {} and {}, they must be the same",
          to_string(first.dtype()), to_string(input->dtype()));
    if (input->shape() != shape) shape = BroadcastPlan(name, shape, input->shape()).output();
  }
  return shape;
}

void check_output_of_each(const char* name, const Tensor& y, const Shape& shape, DType dtype) {
  check_given(y.defined(), name, "the output");
  check(y.shape() == shape && y.dtype() == dtype, name, "an output of {} {} does not hold {} {}",
        to_string(y.dtype()), y.shape(), to_string(dtype), shape);
}

void check_inputs_of_each(const OpDef& op, Inputs inputs, std::size_t functions) {
  const char* name = op.name.c_str();
  check(inputs.size() == op.inputs.size(), name,
        "the number of inputs is {}, and its description says {}", inputs.size(), op.inputs.size());
  check(inputs.size() == functions, name, "the number of inputs is {}, and that of gradients {}",
        inputs.size(), functions);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check(inputs[i]->defined(), name, "input '{}' was used before it was given a value",
          op.inputs[i].name);
  }
}

Broadcast::Broadcast(const char* name, const Tensor& x, const Shape& output) : x_(x) {
  if (x.shape() == output) return;
  plan_ = std::make_unique<const BroadcastPlan>(name, x.shape(), output);
}
Broadcast::~Broadcast() = default;

void Broadcast::gather(std::int64_t first, std::size_t count, float* to) const {
  gather_rows(*plan_, x_.data<float>(), first, count, to);
}
void Broadcast::gather(std::int64_t first, std::size_t count, double* to) const {
  gather_rows(*plan_, x_.data<double>(), first, count, to);
}

}  // namespace maskgrad::ops::detail
