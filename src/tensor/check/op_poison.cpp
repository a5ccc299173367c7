#include <functional>
#include <limits>
#include <span>

#include <maskgrad/tensor/check/described_op.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/op_poison.hpp>
#include <maskgrad/tensor/check/random_weights.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::check_detail {
namespace {

Tensor none(const Shape& shape) { return Tensor::zeros(shape, DType::kBool); }

// The first element that differs and is not among those that may; -1 where there is none.
std::int64_t first_difference(const Tensor& a, const Tensor& b, const Tensor& may) {
  const auto allowed = may.values<bool>();
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    if (!allowed[static_cast<std::size_t>(i)] && !is_identical(a.view(i, {}), b.view(i, {})))
      return i;
  }
  return -1;
}

// Random numbers, but 0 where `silent` says so, and `poison` in the holes of y.
Tensor gradient_for(const Variable& y, const Tensor& silent, DType dtype, double poison) {
  Tensor g = random_weights("check_op", 1, y.shape());
  for (std::int64_t i = 0; i < g.numel(); ++i) {
    if (silent.data<bool>()[i]) g.data<double>()[i] = 0;
  }
  g = g.to(dtype);
  if (y.mask().defined()) fill_holes(g, y.mask(), poison);
  return g;
}

// What differs between the two runs must be among what may.
void compare(const OpDef& op, const OpResults& clean, const OpResults& poisoned,
             const DescribedOp::Marks& may, double poison, const std::string& where,
             Complaints& complaints) {
  const auto complain = [&](const std::string& what, const Tensor& a, const Tensor& b,
                            const Tensor& allowed) {
    const std::int64_t at = first_difference(a, b, allowed);
    if (at < 0) return;
    complaints.add(what + " changes with what stands " + where,
                   fmt::format("{} at element {} of {} changes with {} {}, and it says that it "
                               "does not depend on that",
                               what, at, a.shape(), poison, where));
  };
  for (std::size_t k = 0; k < clean.outputs.size(); ++k) {
    const Variable& y = clean.outputs[k];
    complain("output '" + op.output_name(k) + "'", y.value(), poisoned.outputs[k].value(),
             either(may.outputs[k], holes_of(y.mask(), y.shape())));
  }
  for (const auto& [name, gradient] : clean.gradients) {
    if (!gradient.defined()) continue;
    complain("the gradient of '" + name + "'", gradient, poisoned.gradients.at(name),
             may.gradients.at(name));
  }
}

// Calls f(root) for each output that gradients can be sent back from; for the first one where there
// is none.
void for_each_root(const DescribedOp& described, const std::function<void(std::size_t)>& f) {
  bool found = false;
  for (std::size_t k = 0; k < described.outputs().size(); ++k) {
    if (!described.is_differentiable(k)) continue;
    found = true;
    f(k);
  }
  if (!found) f(0);
}

// The gradients of these places must be 0.
void expect_zeros(const OpResults& results, const ByInput& places, Complaints& complaints) {
  for (const auto& [name, marks] : places) {
    const Tensor& gradient = results.gradients.at(name);
    if (!gradient.defined()) continue;
    const Tensor wide = gradient.to(DType::kFloat64);
    for (std::int64_t i = 0; i < wide.numel(); ++i) {
      if (!marks.data<bool>()[i] || wide.values<double>()[static_cast<std::size_t>(i)] == 0)
        continue;
      complaints.add(
          "sends a gradient to " + name,
          fmt::format(
              "sends a gradient to element {} of '{}' where 0 arrives at all that depends on it", i,
              name));
      return;
    }
  }
}

// Puts poison at places of leaves and in the holes of the trial.
void check_values(const OpTrial& trial, const DescribedOp& described, const ByInput& places,
                  std::span<const double> poisons, const std::string& where,
                  Complaints& complaints) {
  const DescribedOp::Marks said = described.of_values(places, trial.mask.defined());
  for_each_root(described, [&](std::size_t root) {
    const auto gradient = [&](double poison) {
      return gradient_for(described.outputs()[root], said.outputs[root], trial.dtype, poison);
    };
    const OpResults clean = run_both_ways(trial.op, trial.call(), root, gradient(0.0));
    expect_zeros(clean, places, complaints);
    for (const double poison : poisons) {
      const OpResults poisoned =
          run_both_ways(trial.op, trial.poisoned_call(places, poison), root, gradient(poison));
      compare(trial.op, clean, poisoned, said, poison, where, complaints);
    }
  });
}

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// One place after another, then all at once that nothing depends on.
void check_places(const OpTrial& trial, const DescribedOp& described, Complaints& complaints) {
  static constexpr double kChanges[] = {3.75, kInf, kNaN};
  ByInput unread;
  for (const auto& [name, leaf] : described.leaves()) {
    unread[name] = none(leaf.shape());
    for (std::int64_t i = 0; i < leaf.shape().numel(); ++i) {
      const ByInput place = {{name, mark(leaf.shape(), i)}};
      check_values(trial, described, place, kChanges, fmt::format("at a place of '{}'", name),
                   complaints);
      bool is_read = false;
      for (const Tensor& marks : described.of_values(place, false).outputs) is_read |= any(marks);
      unread[name].data<bool>()[i] = !is_read;
    }
  }
  check_values(trial, described, unread, mask_poisons(), "at places that it does not read",
               complaints);
}

// One place of an arriving gradient after another.
void check_arriving(const OpTrial& trial, const DescribedOp& described, Complaints& complaints) {
  for_each_root(described, [&](std::size_t root) {
    const Variable& y = described.outputs()[root];
    if (!described.is_differentiable(root)) return;
    const Tensor g = gradient_for(y, none(y.shape()), trial.dtype, 0.0);
    const OpResults clean = run_both_ways(trial.op, trial.call(), root, g);
    for (std::int64_t i = 0; i < g.numel(); ++i) {
      const DescribedOp::Marks said = described.of_gradient(root, mark(y.shape(), i));
      for (const double poison : {kInf, kNaN}) {
        Tensor bad = g.clone();
        bad.view(i, {}).fill(poison);
        compare(trial.op, clean, run_both_ways(trial.op, trial.call(), root, bad), said, poison,
                "at a place of the gradient that arrives", complaints);
      }
    }
  });
}

// About a third of the positions are holes, the first always kept and the last never.
SequenceMask some_mask(const Shape& positions) {
  Random random(3, stream_of("mask"));
  Tensor bits = Tensor::full(positions, 1, DType::kBool);
  bool* keep = bits.data<bool>();
  for (std::int64_t i = 1; i < bits.numel(); ++i) keep[i] = random.uniform() < 0.67;
  keep[bits.numel() - 1] = false;
  return SequenceMask(std::move(bits));
}

void check_holes(OpTrial trial, Complaints& complaints) {
  std::optional<DescribedOp> described;
  try {
    described.emplace(trial);
  } catch (const Error&) {
    return;  // it takes no mask there
  }
  check_values(trial, *described, {}, mask_poisons(), "in the holes of a mask", complaints);
}

// A mask on each input that has positions, and on all that have the same ones.
void check_masks(const OpTrial& trial, const DescribedOp& described, Complaints& complaints) {
  std::map<std::string, std::vector<std::string>> by_positions;
  for (const auto& [name, leaf] : described.leaves()) {
    if (leaf.rank() < 2 || leaf.shape().numel() == 0) continue;
    const Shape positions = leaf.shape().slice(0, 2);
    std::vector<std::string>& same = by_positions[to_string(positions)];
    same.push_back(name);
    check_holes({trial.op, trial.sample, trial.dtype, some_mask(positions), {name}}, complaints);
    if (same.size() < 2) continue;
    check_holes({trial.op, trial.sample, trial.dtype, some_mask(positions), same}, complaints);
  }
}

}  // namespace

void check_dependence(const OpDef& op, const OpSample& sample, DType dtype,
                      Complaints& complaints) {
  const OpTrial trial = {op, sample, dtype};
  const DescribedOp described(trial);
  check_places(trial, described, complaints);
  check_arriving(trial, described, complaints);
  check_masks(trial, described, complaints);
}

}  // namespace maskgrad::check_detail
