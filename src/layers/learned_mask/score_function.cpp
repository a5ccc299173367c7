#include <algorithm>
#include <array>

#include <maskgrad/layers/learned_mask/score_function.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "score function";
constexpr std::array<std::string_view, 3> kNames = {"none", "running", "leave-one-out"};

double sum_of(const Tensor& x, std::int64_t first, std::int64_t count) {
  double sum = 0;
  dispatch_dtype(FloatingTypes{}, x.dtype(), kName, [&]<class T>(T) {
    for (std::int64_t i = first; i < first + count; ++i) sum += static_cast<double>(x.data<T>()[i]);
  });
  return sum;
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

// (loss - baseline) / K, as a column.
Tensor ScoreFunction::advantages(const Tensor& losses, DType dtype) const {
  const std::int64_t k = options_.samples;
  const auto of_k = static_cast<double>(k);
  Tensor column = Tensor::empty({losses.numel(), 1}, dtype);
  dispatch_dtype(FloatingTypes{}, dtype, kName, [&]<class T>(T) {
    for (std::int64_t r = 0; r < losses.numel(); ++r) {
      const double loss = sum_of(losses, r, 1);
      double baseline = options_.baseline == Baseline::kRunning ? running_ : 0;
      if (options_.baseline == Baseline::kLeaveOneOut) {
        baseline = (sum_of(losses, r / k * k, k) - loss) / (of_k - 1);
      }
      column.data<T>()[r] = static_cast<T>((loss - baseline) / of_k);
    }
  });
  return column;
}

void ScoreFunction::remember(const Tensor& losses) {
  if (losses.numel() == 0) return;
  const double mean = sum_of(losses, 0, losses.numel()) / static_cast<double>(losses.numel());
  running_ = has_run_ ? options_.decay * running_ + (1 - options_.decay) * mean : mean;
  has_run_ = true;
}

Variable ScoreFunction::surrogate(const Tensor& losses, const Variable& log_probability) {
  check_given(losses.defined() && log_probability.defined(), kName, "an input");
  check(is_floating(losses.dtype()) && losses.rank() == 1 && log_probability.rank() == 2 &&
            losses.dim(0) == log_probability.dim(0),
        kName, "needs losses [R] and log probabilities [R, S], got {} {} and {}",
        to_string(losses.dtype()), losses.shape(), log_probability.shape());
  check(losses.dim(0) % options_.samples == 0, kName,
        "the rows are {} samples of each sequence, and {} is no multiple", options_.samples,
        losses.dim(0));
  const Tensor column = advantages(losses, log_probability.dtype());
  remember(losses);
  return ops::sum(ops::fill_masked(ops::multiply(log_probability, Variable(column))));
}

}  // namespace maskgrad
