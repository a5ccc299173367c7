#include <algorithm>

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/recompute.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "recompute";

// Names the node. It is no operation that can be called, so it does not register.
OpDef description() {
  OpDef op;
  op.name = kName;
  return op;
}
const OpDef kRecompute = description();

}  // namespace

RecomputeNode::RecomputeNode(Ref<Gradient> output, DryRun first)
    : Node(kRecompute, {}, NodeOutputs(std::move(output))),
      first_(std::move(first)),
      path_(Scope::path_in_pool()) {}

// The operations are recorded as if they had been there all along: under the number of the first
// run's tape, with the inputs themselves. So their gradients add up in the same order.
void RecomputeNode::backward(std::span<Tensor> arrived, Gradients&) {
  const Scope scope({path_.data(), path_.size()}, Scope::kAlone);
  Tape again(first_.around);
  const Ref<Gradient> gradient = run_checked();
  again.run_backward(*gradient, std::move(arrived[0]));
}

Ref<Gradient> RecomputeNode::run_checked() {
  for (const Watched& x : first_.reads) {
    check(!x.is_changed(), kName,
          "a value that it reads was written to after the forward pass, and is needed again");
  }
  const Variable y = run();
  check_given(y.defined(), kName, "the result of f");
  const Gradient& before = *outputs()[0];
  check(y.shape() == before.shape() && y.dtype() == before.dtype() && y.requires_grad(), kName,
        "gave {} {} before, and now {} {}{}", to_string(before.dtype()), before.shape(),
        to_string(y.dtype()), y.shape(), y.requires_grad() ? "" : ", which takes no gradient");
  return Tape::gradient_of(y, nullptr);
}

Tensor RecomputeNode::spread_marks(std::size_t, const Tensor&, const Way&) const {
  fail(kName, "its operations are seen on a tape that traces only");
}

bool FirstRun::is_due() {
  const Tape* tape = Tape::current();
  return tape && !tape->dry_ && !tape->options_.trace && !tape->options_.observer;
}

FirstRun::FirstRun() : around_(*Tape::current()), dry_{around_.id_, {}}, tape_(dry_) {
  check(!around_.used_, kName, "cannot be recorded on a tape that has run backward");
}

void FirstRun::reads(const Variable& x) { tape_.note_read(kName, x); }

// None for a value that takes no gradient, and for one that comes from outside.
Ref<Gradient> FirstRun::gradient_outside(const Variable& y) const {
  check_given(y.defined(), kName, "the result of f");
  if (!y.gradient_ || y.gradient_->tape() != tape_.id_) return {};
  // The mask of y itself may have been dropped since.
  return make_ref<Gradient>(y.value(), y.gradient_->mask(), around_.id_);
}

Variable FirstRun::add(Variable y, Ref<Node> node) {
  y.gradient_ = node->outputs()[0];
  around_.add(std::move(node));
  return y;
}

}  // namespace maskgrad
