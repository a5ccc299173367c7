#include <maskgrad/tensor/autograd/observer.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/finite.hpp>

namespace maskgrad {

void FiniteCheck::on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) {
  if (!is_floating(output.dtype())) return;
  if (const auto found = find_not_finite(output, mask)) {
    fail(op.name.c_str(), "gave {} at element {} of {}", found->value, found->element,
         output.shape());
  }
}

void FiniteCheck::on_gradient(const Node& node, const std::string&, std::size_t input,
                              Tensor& grad) {
  if (!grad.defined()) return;  // which the tape reports
  const Gradient& gathered = *node.inputs()[input];
  // A gradient that is still to be summed over what was broadcast has other places.
  const bool has_places = grad.shape() == gathered.shape();
  if (const auto found = find_not_finite(grad, has_places ? gathered.mask() : SequenceMask())) {
    fail(node.op().name.c_str(), "gave {} for the gradient of input {} at element {} of {}",
         found->value, input, found->element, grad.shape());
  }
}

}  // namespace maskgrad
