#include <algorithm>
#include <limits>

#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/poisoned_run.hpp>
#include <maskgrad/tensor/check/random_weights.hpp>

namespace maskgrad {
namespace {

using check_detail::BlamingRun;
using check_detail::CleanRun;
using check_detail::poison_holes;
using check_detail::PoisonedRun;
using Forward = std::function<Variable()>;

// Notes what comes, with 0 in the holes.
class Notes : public TapeObserver {
 public:
  explicit Notes(CleanRun& run) : run_(run) {}

  void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) override {
    poison_holes(output, mask, 0.0);
    run_.outputs.push_back({op.name, output.clone(), mask});
  }
  void on_gradient(const Node& node, const std::string&, std::size_t input, Tensor& grad) override {
    const Gradient& gathered = *node.inputs()[input];
    const bool has_places = grad.shape() == gathered.shape();
    run_.gradients.push_back(
        {node.op().name, grad.clone(), has_places ? gathered.mask() : SequenceMask()});
  }

 private:
  CleanRun& run_;
};

// The leaves with something else in their holes; as they were when this goes out of scope.
class LeafValues {
 public:
  explicit LeafValues(std::span<const NamedLeaf> leaves) : leaves_(leaves) {
    for (const auto& [name, leaf] : leaves) values_.push_back(leaf.value().clone());
  }
  ~LeafValues() {
    for (std::size_t i = 0; i < leaves_.size(); ++i) restore(i);
  }

  void poison(double with) {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      Tensor value = restore(i);
      poison_holes(value, leaves_[i].leaf.mask(), with);
    }
  }

  std::vector<Tensor> gradients() const {
    std::vector<Tensor> gradients;
    for (const auto& [name, leaf] : leaves_) {
      const bool has = leaf.requires_grad() && leaf.grad().defined();
      gradients.push_back(has ? leaf.grad().clone() : Tensor());
    }
    return gradients;
  }

 private:
  Tensor restore(std::size_t i) {
    Variable leaf = leaves_[i].leaf;
    Tensor value = leaf.value();
    value.copy_from(values_[i]);
    if (leaf.requires_grad()) leaf.clear_grad();
    return value;
  }

  std::span<const NamedLeaf> leaves_;
  std::vector<Tensor> values_;
};

// The same numbers at every call: a gradient for the places of y, poison in its holes.
Tensor some_gradient(const Variable& y, double poison) {
  Tensor g = random_weights("check_mask_leaks", 1, y.shape()).to(y.dtype());
  poison_holes(g, y.mask(), poison);
  return g.to(y.value().device());
}

// Both ways, with poison in the holes; returns the gradients of the leaves.
std::vector<Tensor> run(const Forward& forward, TapeObserver& observer, LeafValues& leaves,
                        double poison) {
  leaves.poison(poison);
  Tape tape({.observer = &observer});
  const Variable y = forward();
  check_given(y.defined(), "check_mask_leaks", "the result");
  if (y.requires_grad()) tape.backward(y, some_gradient(y, poison));
  return leaves.gradients();
}

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Tensor& x, const Tensor& y) {
    return x.defined() == y.defined() &&
           (!x.defined() || is_identical(x.to(Device{}), y.to(Device{})));
  });
}

std::int64_t masked_places(const CleanRun& clean) {
  std::int64_t count = 0;
  for (const auto& [op, value, mask] : clean.outputs) {
    const std::int64_t positions = mask.defined() ? mask.bits().numel() : 0;
    if (positions > 0) count += (positions - mask.kept()) * (value.numel() / positions);
  }
  return count;
}

}  // namespace

std::span<const double> mask_poisons() {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  static constexpr double kPoisons[] = {1e30, -1e30, kInf, -kInf,
                                        std::numeric_limits<double>::quiet_NaN()};
  return kPoisons;
}

LeakReport check_mask_leaks(const Forward& forward, std::span<const NamedLeaf> leaves) {
  check(forward != nullptr, "check_mask_leaks", "there is no function to check");
  for (const auto& [name, leaf] : leaves) {
    check_given(leaf.defined(), "check_mask_leaks", fmt::format("'{}'", name));
  }
  LeafValues values(leaves);
  CleanRun clean;
  Notes notes(clean);
  clean.of_leaves = run(forward, notes, values, 0.0);
  const Tape trace({.trace = true});
  forward();
  LeakReport report;
  report.operations = static_cast<std::int64_t>(clean.outputs.size());
  report.masked_places = masked_places(clean);
  for (const double poison : mask_poisons()) {
    PoisonedRun poisoned(trace, clean, poison);
    const std::vector<Tensor> gradients = run(forward, poisoned, values, poison);
    check(poisoned.is_complete(), "check_mask_leaks", "how much runs depends on what is masked");
    if (!poisoned.leaked() && same(gradients, clean.of_leaves)) continue;
    BlamingRun blaming(trace, clean, poison, report.leaks);
    run(forward, blaming, values, poison);
  }
  return report;
}

std::string to_string(const MaskLeak& leak) {
  const std::string where = leak.layer.empty() ? "" : fmt::format(" in layer '{}'", leak.layer);
  return fmt::format(
      "{}{} reads masked places: element {} of its {} {} is {:.4g}, and {:.4g} with {} there",
      leak.op, where, leak.element, leak.what, leak.shape, leak.clean, leak.poisoned, leak.poison);
}

std::string to_string(const LeakReport& report) {
  std::string text =
      fmt::format("{} operations, {} masked elements", report.operations, report.masked_places);
  for (const MaskLeak& leak : report.leaks) text += "\n  " + to_string(leak);
  return text;
}

}  // namespace maskgrad
