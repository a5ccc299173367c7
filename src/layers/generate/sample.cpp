#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <maskgrad/layers/generate/sample.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "sample";

std::vector<double> checked_logits(const Tensor& logits) {
  check(logits.defined() && logits.rank() == 1 && logits.numel() > 0 && is_floating(logits.dtype()),
        kName, "needs floating logits [V], V above 0");
  const Tensor wide = logits.to(Device{}).to(DType::kFloat64);
  const auto values = wide.values<double>();
  for (const double value : values) {
    check(!std::isnan(value) && value < std::numeric_limits<double>::infinity(), kName,
          "a logit is {}", value);
  }
  std::vector<double> checked(values.begin(), values.end());
  check(
      *std::max_element(checked.begin(), checked.end()) > -std::numeric_limits<double>::infinity(),
      kName, "all logits are -inf");
  return checked;
}

// softmax(x / temperature)
void turn_into_probabilities(std::vector<double>& x, double temperature) {
  const double top = *std::max_element(x.begin(), x.end());
  for (double& value : x) value = std::exp((value - top) / temperature);
  const double sum = std::accumulate(x.begin(), x.end(), 0.0);
  for (double& value : x) value /= sum;
}

// All probability for the first of the largest.
void keep_largest(std::vector<double>& x) {
  const auto largest = std::max_element(x.begin(), x.end()) - x.begin();
  std::fill(x.begin(), x.end(), 0.0);
  x[static_cast<std::size_t>(largest)] = 1;
}

// Tokens from the most to the least probable.
std::vector<std::size_t> in_order(const std::vector<double>& p) {
  std::vector<std::size_t> tokens(p.size());
  std::iota(tokens.begin(), tokens.end(), std::size_t{0});
  std::stable_sort(tokens.begin(), tokens.end(),
                   [&](std::size_t a, std::size_t b) { return p[a] > p[b]; });
  return tokens;
}

// How many of the ordered tokens the filters leave; at least one.
std::size_t count_left(const std::vector<double>& p, const std::vector<std::size_t>& ordered,
                       const SampleOptions& options) {
  std::size_t count = ordered.size();
  if (options.top_k > 0) count = std::min(count, static_cast<std::size_t>(options.top_k));
  double left = 0;
  for (std::size_t i = 0; i < count; ++i) left += p[ordered[i]];
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += p[ordered[i]];
    if (options.top_p < 1 && sum >= options.top_p * left) count = i + 1;
  }
  while (count > 1 && p[ordered[count - 1]] < options.min_p * p[ordered[0]]) --count;
  return count;
}

}  // namespace

void check_options(const SampleOptions& options,
                   const std::function<std::string(const std::string&)>& name_of) {
  // Checked for each token, so that nothing is put together unless it fails.
  const auto check_option = [&](bool holds, const char* name, const char* must, auto value) {
    if (!holds) fail(kName, "{} must be {}, not {}", name_of ? name_of(name) : name, must, value);
  };
  const auto [temperature, top_k, top_p, min_p] = options;
  check_option(temperature >= 0 && std::isfinite(temperature), "temperature",
               "finite and at least 0", temperature);
  check_option(top_k >= 0, "top_k", "at least 0", top_k);
  check_option(top_p > 0 && top_p <= 1, "top_p", "above 0 and at most 1", top_p);
  check_option(min_p >= 0 && min_p <= 1, "min_p", "from 0 to 1", min_p);
}

std::vector<double> probabilities(const Tensor& logits, const SampleOptions& options) {
  check_options(options);
  std::vector<double> p = checked_logits(logits);
  if (options.temperature == 0) {
    keep_largest(p);
    return p;
  }
  turn_into_probabilities(p, options.temperature);
  const std::vector<std::size_t> ordered = in_order(p);
  const std::size_t count = count_left(p, ordered, options);
  if (count == p.size()) return p;
  double left = 0;
  for (std::size_t i = 0; i < count; ++i) left += p[ordered[i]];
  for (std::size_t i = 0; i < p.size(); ++i) {
    double& value = p[ordered[i]];
    value = i < count ? value / left : 0.0;
  }
  return p;
}

std::vector<double> log_probabilities(const Tensor& logits) {
  std::vector<double> x = checked_logits(logits);
  const double top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - top);
  for (double& value : x) value = value - top - std::log(sum);
  return x;
}

std::int64_t sample_token(const Tensor& logits, const SampleOptions& options, double uniform) {
  const std::vector<double> p = probabilities(logits, options);
  double sum = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] == 0) continue;
    last = i;
    sum += p[i];
    if (uniform < sum) break;
  }
  return static_cast<std::int64_t>(last);  // the sum may end a rounding below 1
}

}  // namespace maskgrad
