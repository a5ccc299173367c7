#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/gradients.hpp>
#include <maskgrad/tensor/check/random_weights.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad {
namespace {

// sum_i weight_i y_i. Places of weight 0 are not read, as holes may hold anything.
double weighted_sum(const Tensor& weight, const Tensor& y) {
  const Tensor on_host = y.to(Device{});
  const auto w = weight.values<double>(), values = on_host.values<double>();
  double total = 0;
  for (std::size_t i = 0; i < w.size(); ++i) total += w[i] == 0 ? 0 : w[i] * values[i];
  return total;
}

// Weights for the elements of y, exactly 0 at the holes of its mask.
Tensor output_weights(const Variable& y, std::uint64_t seed) {
  Tensor weights = random_weights("gradient_check", seed, y.shape());
  if (y.mask().defined()) fill_holes(weights, y.mask(), 0.0);
  return weights;
}

double central_difference(const std::function<Variable()>& f, const Tensor& weights,
                          const Tensor& at, std::int64_t i, double step) {
  const NoGrad no_grad;
  Tensor x = at.view(i, {});
  const double here = x.item();
  x.fill(here + step);
  const double above = weighted_sum(weights, f().value());
  x.fill(here - step);
  const double below = weighted_sum(weights, f().value());
  x.fill(here);
  return (above - below) / (2 * step);
}

// The elements to look at: all, or so many drawn at random.
std::vector<std::int64_t> chosen(std::int64_t numel, const std::string& name,
                                 const GradientCheck& options) {
  std::vector<std::int64_t> places(static_cast<std::size_t>(std::min(numel, options.max_elements)));
  if (numel <= options.max_elements) {
    std::iota(places.begin(), places.end(), std::int64_t{0});
    return places;
  }
  Random random(options.seed, stream_of(name));
  for (std::int64_t& place : places) place = random.integer(0, numel - 1);
  return places;
}

void compare(const NamedLeaf& named, const std::function<Variable()>& f, const Tensor& weights,
             const GradientCheck& options, GradientReport& report) {
  const auto& [name, leaf] = named;
  const Tensor grad = leaf.grad().defined() ? leaf.grad().to(Device{})
                                            : Tensor::zeros(leaf.shape(), DType::kFloat64);
  for (const std::int64_t i : chosen(grad.numel(), name, options)) {
    const double analytic = grad.values<double>()[static_cast<std::size_t>(i)];
    const double numeric = central_difference(f, weights, leaf.value(), i, options.step);
    const double error =
        std::abs(analytic - numeric) / std::max({1.0, std::abs(analytic), std::abs(numeric)});
    ++report.elements;
    if (error <= report.worst_error) continue;  // a NaN is worse than anything
    report.worst_error = std::isnan(error) ? HUGE_VAL : error;
    report.worst = fmt::format("{}[{}] of {}: backward gave {}, differences give {}", name, i,
                               leaf.shape(), analytic, numeric);
  }
}

}  // namespace

GradientReport check_gradients(const std::function<Variable()>& f,
                               std::span<const NamedLeaf> leaves, const GradientCheck& options) {
  check(options.max_elements >= 1, "check_gradients", "max_elements must be at least 1, not {}",
        options.max_elements);
  check(f != nullptr, "check_gradients", "there is no function to check");
  for (const auto& [name, leaf] : leaves) {
    check_given(leaf.defined(), "check_gradients", fmt::format("'{}'", name));
    check(leaf.dtype() == DType::kFloat64 && leaf.requires_grad(), "check_gradients",
          "'{}' must be float64 and take a gradient", name);
    Variable(leaf).clear_grad();
  }
  Tensor weights;
  {
    Tape tape;
    const Variable y = f();
    check_given(y.defined(), "check_gradients", "the result");
    weights = output_weights(y, options.seed);
    if (y.requires_grad()) tape.backward(y, weights.to(y.value().device()));
  }
  GradientReport report{.tolerance = options.tolerance};
  for (const NamedLeaf& named : leaves) compare(named, f, weights, options, report);
  return report;
}

std::string to_string(const GradientReport& report) {
  const std::string text = fmt::format("{} elements compared, largest error {:.1e} ({} allowed)",
                                       report.elements, report.worst_error, report.tolerance);
  return report.holds() ? text : text + "\n  worst: " + report.worst;
}

}  // namespace maskgrad
