#include <algorithm>
#include <cmath>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/padding.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

// The kept elements of what an operation gave.
struct Kept {
  std::string op, layer;
  bool masked = false;
  Shape shape;
  std::vector<double> values;
};

std::vector<double> kept_values(const Tensor& x, const SequenceMask& mask) {
  const Tensor doubles = x.to(DType::kFloat64);
  const auto all = doubles.values<double>();
  std::vector<double> values;
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    if (!is_hole(mask, x.shape(), i)) values.push_back(all[static_cast<std::size_t>(i)]);
  }
  return values;
}

class Notes : public TapeObserver {
 public:
  void on_output(const OpDef& op, Tensor& output, const SequenceMask& mask) override {
    kept.push_back(
        {op.name, Scope::path(), mask.defined(), output.shape(), kept_values(output, mask)});
  }
  std::vector<Kept> kept;
};

struct Run {
  std::vector<Kept> outputs;
  std::vector<std::vector<double>> gradients;
};

Run run(const std::function<Variable(std::int64_t)>& forward, std::int64_t extra,
        std::span<const NamedLeaf> leaves) {
  for (const auto& [name, leaf] : leaves) Variable(leaf).clear_grad();
  Notes notes;
  Tape tape({.observer = &notes});
  const Variable y = forward(extra);
  check_given(y.defined(), "check_padding", "the result");
  check(y.shape().numel() == 1, "check_padding", "needs a function that gives one number, got {}",
        y.shape());
  if (y.requires_grad()) tape.backward(y);
  Run result{std::move(notes.kept), {}};
  for (const auto& [name, leaf] : leaves) {
    result.gradients.push_back(leaf.grad().defined() ? kept_values(leaf.grad(), leaf.mask())
                                                     : std::vector<double>());
  }
  return result;
}

double difference(double before, double after) {
  if (before == after || (std::isnan(before) && std::isnan(after))) return 0;
  const double error = std::abs(after - before) / std::max(1.0, std::abs(before));
  return std::isnan(error) ? HUGE_VAL : error;
}

// Notes the first element that differs by more than is allowed; true when there is one.
bool compare(const std::vector<double>& before, const std::vector<double>& after,
             PaddingChange change, PaddingReport& report) {
  if (before.size() != after.size()) {
    change.before = static_cast<double>(before.size());
    change.after = static_cast<double>(after.size());
    change.element = -1;
    report.largest = HUGE_VAL;
    report.changes.push_back(change);
    return true;
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double error = difference(before[i], after[i]);
    report.largest = std::max(report.largest, error);
    if (error <= report.tolerance) continue;
    change.element = static_cast<std::int64_t>(i);
    change.before = before[i], change.after = after[i];
    report.changes.push_back(change);
    return true;
  }
  return false;
}

void compare(const Run& before, const Run& after, std::int64_t extra,
             std::span<const NamedLeaf> leaves, PaddingReport& report) {
  check(before.outputs.size() == after.outputs.size(), "check_padding",
        "{} outputs were recorded, and {} with {} more positions", before.outputs.size(),
        after.outputs.size(), extra);
  report.operations = 0;
  bool found = false;
  for (std::size_t i = 0; i < before.outputs.size(); ++i) {
    const Kept &a = before.outputs[i], &b = after.outputs[i];
    // Scores [B, S, S] grow along another dimension too.
    const int positions = a.masked ? 2 : 0;
    if (a.shape.rank() != b.shape.rank() ||
        !(a.shape.slice(positions, a.shape.rank()) == b.shape.slice(positions, b.shape.rank()))) {
      continue;
    }
    ++report.operations;
    found = found ||
            compare(a.values, b.values, {.op = a.op, .layer = a.layer, .extra = extra}, report);
  }
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    compare(before.gradients[i], after.gradients[i],
            {.op = "", .layer = leaves[i].name, .extra = extra}, report);
  }
}

}  // namespace

PaddingReport check_padding(const std::function<Variable(std::int64_t)>& forward,
                            std::span<const NamedLeaf> leaves, double tolerance) {
  check(forward != nullptr, "check_padding", "there is no function to check");
  for (const auto& [name, leaf] : leaves) {
    check_given(leaf.defined(), "check_padding", fmt::format("'{}'", name));
  }
  PaddingReport report;
  report.tolerance = tolerance;
  const Run before = run(forward, 0, leaves);
  for (const std::int64_t extra : {1, 2, 5}) {
    compare(before, run(forward, extra, leaves), extra, leaves, report);
    if (!report.holds()) break;
  }
  for (const auto& [name, leaf] : leaves) Variable(leaf).clear_grad();
  return report;
}

std::string to_string(const PaddingReport& report) {
  std::string text = fmt::format("{} outputs compared, largest difference {:.1e}",
                                 report.operations, report.largest);
  for (const PaddingChange& change : report.changes) {
    const std::string what = change.op.empty() ? "the gradient of " + change.layer
                             : change.layer.empty()
                                 ? change.op
                                 : fmt::format("{} in layer '{}'", change.op, change.layer);
    text +=
        fmt::format("\n  {} changes with {} more padded positions: kept element {} is {}, then {}",
                    what, change.extra, change.element, change.before, change.after);
  }
  return text;
}

}  // namespace maskgrad
