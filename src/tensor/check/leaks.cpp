#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/gradient_kernels.hpp>
#include <maskgrad/tensor/scope.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad {
namespace {

// What one operation gave, or one gradient rule, in the clean run.
struct Seen {
  std::string op, layer, what;
  Tensor value;
  SequenceMask mask;
};

double element_of(const Tensor& x, std::int64_t i) {
  return x.view(i, {}).to(DType::kFloat64).item();
}

// An integer that no table of tokens has a row for.
constexpr double kIntegerPoison = -7;

void poison_holes(Tensor& x, const SequenceMask& mask, double poison) {
  if (!mask.defined()) return;
  fill_holes(x, mask, is_floating(x.dtype()) ? poison : kIntegerPoison);
}

// The first element at a kept place whose bits differ; -1 where none does.
std::int64_t first_difference(const Tensor& a, const Tensor& b, const SequenceMask& mask) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return 0;
  const std::int64_t rows = mask.defined() ? mask.bits().numel() : 1;
  const std::int64_t row = rows ? a.numel() / rows : 0;
  const std::size_t size = size_of(a.dtype());
  for (std::int64_t i = 0; i < rows * row; ++i) {
    if (mask.defined() && !mask.bits().data<bool>()[i / row]) continue;
    const auto at = static_cast<std::size_t>(i) * size;
    if (std::memcmp(a.raw_data() + at, b.raw_data() + at, size) != 0) return i;
  }
  return -1;
}

// Watches one run: writes poison into every hole, and notes (clean run) or compares what it sees.
class Watch : public TapeObserver {
 public:
  Watch(double poison, std::vector<Seen>& seen, bool clean, LeakReport& report)
      : poison_(poison), seen_(seen), clean_(clean), report_(report) {}

  void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) override {
    poison_holes(output, mask, poison_);
    if (const Seen* expected = look({op.name, Scope::path(), "output", output, mask})) {
      // In place, as the rule of the operation may hold this tensor already.
      output.copy_from(expected->value);
      poison_holes(output, mask, poison_);
    }
  }

  void on_gradient(const Node& node, std::size_t input, Tensor& grad) override {
    if (!grad.defined()) return;
    const SequenceMask& slot_mask = node.inputs()[input]->mask;
    // A gradient of a broadcast input comes in a larger shape, which has no holes of its own.
    const SequenceMask mask =
        grad.shape() == node.inputs()[input]->shape ? slot_mask : SequenceMask();
    const Seen* expected =
        look({node.op().name, "", fmt::format("gradient of input {}", input), grad, mask});
    if (!expected && !mask.defined()) return;
    grad = (expected ? expected->value : grad).clone();
    poison_holes(grad, mask, poison_);
  }

  std::size_t calls() const { return next_; }

 private:
  // Notes what is seen, or compares it; what was expected instead, when that is something else.
  const Seen* look(Seen now) {
    const std::size_t call = next_++;
    if (clean_) {
      now.value = now.value.clone();
      count(now);
      seen_.push_back(std::move(now));
      return nullptr;
    }
    if (call >= seen_.size() || seen_[call].op != now.op ||
        seen_[call].value.shape() != now.value.shape() || !(seen_[call].mask == now.mask)) {
      fail("check_mask_leaks", "[{}] what runs, or its mask, depends on what is masked", now.op);
    }
    const std::int64_t i = first_difference(seen_[call].value, now.value, now.mask);
    if (i < 0) return nullptr;
    blame(call, now, i);
    return &seen_[call];
  }

  void count(const Seen& now) {
    const bool is_output = now.what == "output";
    (is_output ? report_.operations : report_.gradients) += 1;
    if (!now.mask.defined() || now.mask.bits().numel() == 0) return;
    const std::int64_t positions = now.mask.bits().numel();
    report_.masked_places += (positions - now.mask.kept()) * (now.value.numel() / positions);
  }

  void blame(std::size_t call, const Seen& now, std::int64_t i) {
    const bool known =
        std::any_of(report_.leaks.begin(), report_.leaks.end(), [&](const auto& leak) {
          return leak.op == now.op && leak.layer == now.layer && leak.what == now.what;
        });
    if (known) return;
    report_.leaks.push_back({now.op, now.layer, now.what, now.value.shape(), i,
                             element_of(seen_[call].value, i), element_of(now.value, i), poison_});
  }

  double poison_;
  std::vector<Seen>& seen_;
  bool clean_;
  LeakReport& report_;
  std::size_t next_ = 0;
};

// The same numbers at every call: a gradient for the places of y.
Tensor some_gradient(const Variable& y, double poison) {
  Random random(1, stream_of("check_mask_leaks"));
  Tensor g = Tensor::empty(y.shape(), DType::kFloat64);
  std::generate_n(g.data<double>(), g.numel(), [&] { return random.uniform(0.5, 1.5); });
  g = g.to(y.dtype());
  poison_holes(g, y.mask(), poison);
  return g;
}

class LeafValues {
 public:
  explicit LeafValues(std::span<const NamedLeaf> leaves) : leaves_(leaves) {
    for (const auto& [name, leaf] : leaves) values_.push_back(leaf.value().clone());
  }
  ~LeafValues() { put(0.0, false); }

  /// The values as they were, with poison in their holes where `poisoned`.
  void put(double poison, bool poisoned = true) {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      Variable leaf = leaves_[i].leaf;
      Tensor value = leaf.value();
      value.copy_from(values_[i]);
      if (poisoned) poison_holes(value, leaf.mask(), poison);
      if (leaf.requires_grad()) leaf.clear_grad();
    }
  }

 private:
  std::span<const NamedLeaf> leaves_;
  std::vector<Tensor> values_;
};

void run(const std::function<Variable()>& forward, Watch& watch, double poison) {
  Tape tape(Tape::Options{.observer = &watch});
  const Variable y = forward();
  if (y.requires_grad()) tape.backward(y, some_gradient(y, poison));
}

}  // namespace

std::span<const double> mask_poisons() {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  static constexpr double kPoisons[] = {1e30, -1e30, kInf, -kInf,
                                        std::numeric_limits<double>::quiet_NaN()};
  return kPoisons;
}

LeakReport check_mask_leaks(const std::function<Variable()>& forward,
                            std::span<const NamedLeaf> leaves) {
  LeakReport report;
  std::vector<Seen> seen;
  LeafValues values(leaves);
  values.put(0.0);
  Watch clean(0.0, seen, true, report);
  run(forward, clean, 0.0);
  for (const double poison : mask_poisons()) {
    values.put(poison);
    Watch watch(poison, seen, false, report);
    run(forward, watch, poison);
    check(watch.calls() == seen.size(), "check_mask_leaks",
          "how much runs depends on what is masked: {} outputs and gradients, and {} with {} there",
          seen.size(), watch.calls(), poison);
  }
  return report;
}

std::string to_string(const MaskLeak& leak) {
  const std::string where = leak.layer.empty() ? "" : fmt::format(" in layer '{}'", leak.layer);
  return fmt::format(
      "{}{} reads masked places: element {} of its {} {} is {}, and {} with {} there", leak.op,
      where, leak.element, leak.what, leak.shape, leak.clean, leak.poisoned, leak.poison);
}

std::string to_string(const LeakReport& report) {
  std::string text = fmt::format("{} outputs and {} gradients compared, {} masked elements",
                                 report.operations, report.gradients, report.masked_places);
  for (const MaskLeak& leak : report.leaks) text += "\n  " + to_string(leak);
  return text;
}

}  // namespace maskgrad
