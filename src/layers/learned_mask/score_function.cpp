#include <algorithm>
#include <array>
#include <numeric>
#include <span>

#include <fmt/format.h>

#include <maskgrad/layers/learned_mask/score_function.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/operators.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/finite.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "score function";
constexpr std::array<std::string_view, 4> kNames = {"none", "running", "leave-one-out", "learned"};

PoolVector<double> numbers(const Tensor& x) {
  const Tensor wide = x.to(Device{}).to(DType::kFloat64);
  const auto values = wide.values<double>();
  return PoolVector<double>(values.begin(), values.end());
}

Tensor column_of(const PoolVector<double>& values, const Variable& like) {
  Tensor column = Tensor::empty({std::ssize(values), 1}, DType::kFloat64);
  std::ranges::copy(values, column.data<double>());
  return column.to(like.dtype()).to(like.device());
}

}  // namespace

std::string_view to_string(Baseline baseline) { return kNames[static_cast<std::size_t>(baseline)]; }

Baseline baseline_from_string(std::string_view name) {
  const auto at = std::ranges::find(kNames, name);
  check(at != kNames.end(), "baseline", "'{}' is not one of {}", shortened(name),
        fmt::join(kNames, ", "));
  return static_cast<Baseline>(at - kNames.begin());
}

ScoreFunction::ScoreFunction(const ScoreFunctionOptions& options) : options_(options) {
  const std::int64_t least = options.baseline == Baseline::kLeaveOneOut ? 2 : 1;
  check(options.samples >= least, kName, "needs {} samples of each sequence at least, not {}",
        least, options.samples);
  check(options.decay >= 0 && options.decay < 1, kName,
        "decay must be at least 0 and below 1, not {}", options.decay);
}

PoolVector<double> ScoreFunction::baselines(const PoolVector<double>& losses) const {
  if (options_.baseline != Baseline::kLeaveOneOut) {
    return PoolVector<double>(losses.size(),
                              options_.baseline == Baseline::kRunning ? running_.value_or(0) : 0);
  }
  const auto k = static_cast<std::size_t>(options_.samples);
  PoolVector<double> others;
  for (std::size_t r = 0; r < losses.size(); ++r) {
    const auto of_sequence = std::span(losses).subspan(r / k * k, k);
    const double sum = std::accumulate(of_sequence.begin(), of_sequence.end(), 0.0);
    others.push_back((sum - losses[r]) / static_cast<double>(k - 1));
  }
  return others;
}

// The sum over rows of (loss - baseline) / K log_probability.
Variable ScoreFunction::weighed(const PoolVector<double>& losses,
                                const PoolVector<double>& baselines,
                                const Variable& log_probability) const {
  PoolVector<double> weights;
  for (std::size_t r = 0; r < losses.size(); ++r) {
    weights.push_back((losses[r] - baselines[r]) / static_cast<double>(options_.samples));
  }
  const Variable column(column_of(weights, log_probability));
  return ops::sum(ops::fill_masked(ops::multiply(log_probability, column)));
}

void ScoreFunction::remember(const PoolVector<double>& losses) {
  if (losses.empty()) return;
  const double mean =
      std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
  running_ = running_ ? options_.decay * *running_ + (1 - options_.decay) * mean : mean;
}

void ScoreFunction::check_inputs(const Tensor& losses, const Variable& log_probability) const {
  check_given(losses.defined() && log_probability.defined(), kName, "an input");
  check(is_floating(losses.dtype()) && losses.rank() == 1 && log_probability.rank() == 2 &&
            losses.dim(0) == log_probability.dim(0),
        kName, "needs losses [R] and log probabilities [R, S], got {} {} and {}",
        to_string(losses.dtype()), losses.shape(), log_probability.shape());
  check(losses.dim(0) % options_.samples == 0, kName,
        "the rows are {} samples of each sequence, and {} is no multiple", options_.samples,
        losses.dim(0));
  if (const auto found = find_not_finite(losses.to(Device{}))) {
    throw NotFiniteError(kName, fmt::format("a loss is {}", found->value));
  }
}

Variable ScoreFunction::surrogate(const Tensor& losses, const Variable& log_probability) {
  check_inputs(losses, log_probability);
  check(options_.baseline != Baseline::kLearned, kName,
        "a learned baseline needs what was predicted of each row");
  const PoolVector<double> of_rows = numbers(losses);
  const Variable sum = weighed(of_rows, baselines(of_rows), log_probability);
  remember(of_rows);
  return sum;
}

Variable ScoreFunction::surrogate(const Tensor& losses, const Variable& log_probability,
                                  const Variable& predicted) {
  check_inputs(losses, log_probability);
  check_given(predicted.defined(), kName, "what was predicted");
  check(options_.baseline == Baseline::kLearned && predicted.shape() == losses.shape(), kName,
        "takes predictions {} for a learned baseline alone, got {} for the baseline {}",
        losses.shape(), predicted.shape(), to_string(options_.baseline));
  const Variable sum = weighed(numbers(losses), numbers(predicted.value()), log_probability);
  const Variable error = predicted - Variable(losses.to(predicted.dtype()));
  return sum + ops::sum(error * error) * (0.5 / static_cast<double>(options_.samples));
}

}  // namespace maskgrad
