#include <algorithm>
#include <cmath>
#include <numeric>

#include <maskgrad/layers/task_gate/choice_counts.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

ChoiceCounts::ChoiceCounts(std::size_t kinds, std::size_t experts)
    : kinds_(kinds), experts_(experts), counts_(kinds * experts) {}

void ChoiceCounts::add(std::size_t kind, std::size_t expert) {
  check(kind < kinds_ && expert < experts_, "choice", "{} kinds and {} experts have no {} and {}",
        kinds_, experts_, kind, expert);
  ++counts_[kind * experts_ + expert];
}

void ChoiceCounts::add(const Tensor& kinds, const Choice& choice) {
  check(kinds.shape() == choice.best.shape(), "choice", "there are kinds {} of samples {}",
        kinds.shape(), choice.best.shape());
  for (std::int64_t b = 0; b < kinds.numel(); ++b) {
    const std::int64_t expert = choice.best.data<std::int64_t>()[b];
    if (expert < 0) continue;
    add(static_cast<std::size_t>(kinds.data<std::int64_t>()[b]), static_cast<std::size_t>(expert));
  }
}

std::int64_t ChoiceCounts::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0});
}

std::vector<double> ChoiceCounts::shares(std::size_t kind) const {
  std::vector<double> shares(experts_);
  double all = 0;
  for (std::size_t c = 0; c < experts_; ++c) {
    shares[c] = static_cast<double>(at(kind, c));
    all += shares[c];
  }
  for (double& share : shares) share /= std::max(all, 1.0);
  return shares;
}

std::int64_t ChoiceCounts::matched() const {
  check(experts_ >= kinds_, "choice", "{} kinds cannot have an expert each of {}", kinds_,
        experts_);
  std::vector<std::size_t> order(experts_);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::int64_t most = 0;
  do {
    std::int64_t matched = 0;
    for (std::size_t kind = 0; kind < kinds_; ++kind) matched += at(kind, order[kind]);
    most = std::max(most, matched);
  } while (std::next_permutation(order.begin(), order.end()));
  return most;
}

double ChoiceCounts::agreement() const {
  return static_cast<double>(matched()) / static_cast<double>(std::max<std::int64_t>(count(), 1));
}

double ChoiceCounts::information() const {
  const auto all = static_cast<double>(count());
  std::vector<double> of_kind(kinds_), of_expert(experts_);
  for (std::size_t kind = 0; kind < kinds_; ++kind) {
    for (std::size_t c = 0; c < experts_; ++c) {
      of_kind[kind] += static_cast<double>(at(kind, c));
      of_expert[c] += static_cast<double>(at(kind, c));
    }
  }
  double sum = 0;
  for (std::size_t kind = 0; kind < kinds_; ++kind) {
    for (std::size_t c = 0; c < experts_; ++c) {
      const auto n = static_cast<double>(at(kind, c));
      if (n > 0) sum += n / all * std::log(n * all / (of_kind[kind] * of_expert[c]));
    }
  }
  return sum;
}

}  // namespace maskgrad
