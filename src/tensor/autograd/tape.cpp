#include <algorithm>
#include <atomic>

#include <maskgrad/tensor/autograd/recompute.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

std::uint64_t next_tape_id() {
  static std::atomic<std::uint64_t> last{Gradient::kLeaf};
  return ++last;
}

bool has_arrived(const Ref<Gradient>& gradient) { return gradient->has_arrived(); }

// Holds what has arrived no longer than the rule runs, so that gradients made of it may be added
// to where they are.
void run_rule(Node& node, Gradients& grads) {
  if (node.outputs().size() == 1) {
    Tensor only = node.outputs()[0]->take();
    return node.backward(std::span(&only, 1), grads);
  }
  PoolVector<Tensor> arrived;
  arrived.reserve(node.outputs().size());
  for (const Ref<Gradient>& output : node.outputs()) {
    arrived.push_back(output->has_arrived() ? output->take() : Tensor());
  }
  node.backward(arrived, grads);
}

}  // namespace

Tape::Tape(Options options) : id_(next_tape_id()), options_(options), recording_(this) {}
Tape::Tape(DryRun& dry) : id_(next_tape_id()), recording_(this), dry_(&dry) {}
Tape::Tape(std::uint64_t id) : id_(id), recording_(this) {}

void Tape::check_knows(const char* op, const Gradient& input) const {
  check(input.is_leaf() || input.tape() == id_ || (dry_ && input.tape() == dry_->around), op,
        "got an input that another tape recorded");
}

// Of values that views share the memory of, such as a model's parameters, one is noted.
void Tape::note_read(const char* op, const Variable& x) {
  if (x.gradient_) check_knows(op, *x.gradient_);
  const bool is_inside = x.gradient_ && x.gradient_->tape() == id_;
  const auto is_noted = [&](const Watched& noted) { return noted.shares_memory_with(x.value()); };
  if (is_inside || std::any_of(dry_->reads.begin(), dry_->reads.end(), is_noted)) return;
  dry_->reads.emplace_back(x.value());
}

void Tape::add(Ref<Node> node) {
  nodes_.push_back(std::move(node));
  const Node& added = *nodes_.back();
  if (options_.trace) {
    const bool is_constant = std::all_of(added.inputs().begin(), added.inputs().end(),
                                         [](const auto& input) { return input->is_constant(); });
    for (const Ref<Gradient>& output : added.outputs()) output->set_constant(is_constant);
  }
  if (options_.trace || options_.observer)
    scopes_.push_back(Scope::path());
  else
    note_layer();
  if (options_.observer) options_.observer->on_record(added);
}

// For errors of the backward pass. Most nodes are of the layer of the one before.
void Tape::note_layer() {
  if (!places_.empty() && Scope::changes() == scope_changes_) {
    places_.push_back(Place(places_.back()));
    return;
  }
  scope_changes_ = Scope::changes();
  const auto begin = static_cast<std::uint32_t>(paths_.size());
  Scope::append_path(paths_);
  places_.push_back({begin, static_cast<std::uint32_t>(paths_.size())});
}

// While tracing a constant has one too, so that what its mask says is not lost.
Ref<Gradient> Tape::gradient_of(const Variable& x, const Tape* tape) {
  if (x.gradient_ || !tape || !tape->options_.trace) return x.gradient_;
  auto gradient = make_ref<Gradient>(x.value(), x.mask());
  gradient->set_constant(true);
  return gradient;
}

void Tape::backward(const Variable& root, double seed) {
  check_given(root.defined(), "backward", "the result");
  check(root.shape().numel() == 1, "backward",
        "needs a single element, got {}; sum it or give a grad_output", root.shape());
  // The host makes it: it is often one over a count, which is another number in each step, and what
  // a step uploads may change while its kernels stay the same.
  backward(root, Tensor::full(root.shape(), seed, root.dtype()).to(root.device()));
}

void Tape::backward(const Variable& root, const Tensor& grad_output) {
  check_given(root.defined(), "backward", "the result");
  check_given(grad_output.defined(), "backward", "grad_output");
  check(!used_, "backward", "this tape has run backward already; record the forward pass again");
  check(!options_.trace, "backward", "a tape that traces does not run backward");
  check(root.requires_grad(), "backward",
        "the value depends on nothing that takes gradients, or was computed while no tape was "
        "open");
  Gradient& gradient = *root.gradient_;
  check(gradient.tape() == id_ || gradient.is_leaf(), "backward",
        "the value was not recorded on this tape");
  check(grad_output.shape() == root.shape() && grad_output.dtype() == root.dtype(), "backward",
        "grad_output is {} {}, the value {} {}", maskgrad::to_string(grad_output.dtype()),
        grad_output.shape(), maskgrad::to_string(root.dtype()), root.shape());
  check(grad_output.device() == root.device(), "backward", "grad_output is on {}, the value on {}",
        maskgrad::to_string(grad_output.device().type), maskgrad::to_string(root.device().type));
  run_backward(gradient, grad_output);
}

void Tape::run_backward(Gradient& root, Tensor grad_output) {
  root.add("backward", 0, std::move(grad_output));
  used_ = true;
  const NoGrad no_grad;
  run_backward();
}

void Tape::run_backward() {
  while (!nodes_.empty()) {
    const Ref<Node> node = std::move(nodes_.back());
    nodes_.pop_back();  // before anything throws or looks at the tape
    if (std::none_of(node->outputs().begin(), node->outputs().end(), has_arrived)) continue;
    try {
      run_backward(*node);
    } catch (Error& error) {
      name_layer_of(nodes_.size(), error);
      throw;
    }
  }
}

void Tape::name_layer_of(std::size_t node, Error& error) const {
  std::string_view path;
  if (node < scopes_.size()) {
    path = scopes_[node];
  } else if (node < places_.size()) {
    path = {paths_.data() + places_[node].begin, places_[node].end - places_[node].begin};
  }
  const Scope layer(path, Scope::kAlone);
  error.name_layer();
}

void Tape::run_backward(Node& node) {
  Gradients grads(node.inputs());
  run_rule(node, grads);
  drop_made_of_holes(node, grads);
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    if (!grads.needed(i)) continue;
    if (options_.observer) {
      options_.observer->on_gradient(node, scope(nodes_.size()), i, grads.values_[i]);
    }
    node.inputs()[i]->add(node.op().name.c_str(), i, std::move(grads.values_[i]));
  }
}

// A rule reads values, and anything may stand in their holes: 0 * NaN is NaN. What it made of them
// is dropped before it is summed into the gradient of an input that has no such holes.
void Tape::drop_made_of_holes(const Node& node, Gradients& grads) {
  // All outputs that are aligned with an input carry the same one.
  const SequenceMask& mask = node.outputs().front()->mask();
  if (!mask.defined()) return;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    Tensor& grad = grads.values_[i];
    const auto is_aligned = [&](const Ref<Gradient>& output) {
      return grad.shape() == output->shape();
    };
    const bool at_risk = grads.needed(i) && grad.defined() && node.op().is_elementwise(i) &&
                         std::any_of(node.outputs().begin(), node.outputs().end(), is_aligned);
    if (at_risk && !(node.inputs()[i]->mask() == mask)) drop_holes(grad, mask);
  }
}

}  // namespace maskgrad
