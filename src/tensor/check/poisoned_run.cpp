#include <cstring>

#include <maskgrad/tensor/check/marks.hpp>
#include <maskgrad/tensor/check/poisoned_run.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::check_detail {
namespace {

// Integers have no poison: an id that no table of tokens has stands for it.
Scalar poison_for(DType dtype, double poison) {
  if (dtype == DType::kBool) return true;
  return is_floating(dtype) ? Scalar(poison) : Scalar(-7);
}

}  // namespace

void poison_holes(Tensor& x, const SequenceMask& mask, double poison) {
  if (!mask.defined()) return;
  fill_holes(x, mask, poison_for(x.dtype(), poison));
}

Tensor differences(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device{}), y = b.to(Device{});
  Tensor differ = Tensor::empty(a.shape(), DType::kBool);
  const std::size_t size = size_of(a.dtype());
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const auto at = static_cast<std::size_t>(i) * size;
    differ.data<bool>()[i] = std::memcmp(x.raw_data() + at, y.raw_data() + at, size) != 0;
  }
  return differ;
}

const Seen& expected(const std::vector<Seen>& clean, std::size_t call, const std::string& op,
                     const Tensor& now, const SequenceMask& mask) {
  const bool fits = call < clean.size() && clean[call].op == op &&
                    clean[call].value.shape() == now.shape() &&
                    clean[call].value.dtype() == now.dtype() && clean[call].mask == mask;
  check(fits, "check_mask_leaks", "[{}] what runs, or its mask, depends on what is masked", op);
  return clean[call];
}

PoisonedRun::PoisonedRun(const Tape& trace, const CleanRun& clean, double poison)
    : clean_(clean), poison_(poison), outputs_(outputs_of(trace)) {}

void PoisonedRun::on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) {
  const Seen& clean = expected(clean_.outputs, next_output_, op.name, output, mask);
  if (mask.defined() || outputs_.at(next_output_).is_result) {
    leaked_ = leaked_ || any(without_holes(differences(output, clean.value), mask));
  }
  poison_holes(output, mask, poison_);
  ++next_output_;
}

void PoisonedRun::on_gradient(const Node& node, const std::string&, std::size_t input,
                              Tensor& grad) {
  const Gradient& gathered = *node.inputs()[input];
  const SequenceMask mask = grad.shape() == gathered.shape() ? gathered.mask() : SequenceMask();
  const Seen& clean = expected(clean_.gradients, next_gradient_++, node.op().name, grad, mask);
  if (!mask.defined()) return;
  leaked_ = leaked_ || any(without_holes(differences(grad, clean.value), mask));
  grad = grad.clone();
  poison_holes(grad, mask, poison_);
}

}  // namespace maskgrad::check_detail
