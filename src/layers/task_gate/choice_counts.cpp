#include <algorithm>
#include <limits>
#include <numeric>

#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/layers/task_gate/choice_counts.hpp>
#include <maskgrad/layers/task_gate/entropy.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "choice";
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

}  // namespace

ChoiceCounts::ChoiceCounts(std::size_t kinds, std::size_t experts)
    : kinds_(kinds), experts_(experts), counts_(kinds * experts) {}

std::size_t ChoiceCounts::place_of(std::size_t kind, std::size_t expert) const {
  check(kind < kinds_ && expert < experts_, kName, "{} kinds and {} experts have no {} and {}",
        kinds_, experts_, kind, expert);
  return kind * experts_ + expert;
}

void ChoiceCounts::add(std::size_t kind, std::size_t expert) { ++counts_[place_of(kind, expert)]; }

void ChoiceCounts::add(const Tensor& kinds, const Choice& choice) {
  check(kinds.dtype() == DType::kInt64 && kinds.shape() == choice.best.shape(), kName,
        "there are kinds {} {} of samples {}", to_string(kinds.dtype()), kinds.shape(),
        choice.best.shape());
  check_best(kName, choice.best, static_cast<std::int64_t>(experts_));
  const auto experts = choice.best.values<std::int64_t>(), of = kinds.values<std::int64_t>();
  std::vector<std::size_t> places;
  for (std::size_t b = 0; b < experts.size(); ++b) {
    if (experts[b] < 0) continue;
    check(of[b] >= 0, kName, "{} kinds have no {}", kinds_, of[b]);
    places.push_back(
        place_of(static_cast<std::size_t>(of[b]), static_cast<std::size_t>(experts[b])));
  }
  for (const std::size_t place : places) ++counts_[place];
}

std::int64_t ChoiceCounts::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0});
}

std::vector<double> ChoiceCounts::shares(std::size_t kind) const {
  check(kind < kinds_, kName, "{} kinds have no {}", kinds_, kind);
  std::vector<double> shares(experts_);
  double all = 0;
  for (std::size_t c = 0; c < experts_; ++c) {
    shares[c] = static_cast<double>(at(kind, c));
    all += shares[c];
  }
  for (double& share : shares) share /= std::max(all, 1.0);
  return shares;
}

// Gives one more kind an expert of its own, and others another one where that is better. gain[c] is
// the most that all who move win when the last of them moves to expert c. Since those before had
// the best experts, nobody wins by moving in a circle.
void ChoiceCounts::give_expert(std::size_t kind, std::vector<std::size_t>& kind_of) const {
  std::vector<std::int64_t> gain(experts_);
  std::vector<std::size_t> from(experts_, kNone);  // the expert that the last to move had
  for (std::size_t c = 0; c < experts_; ++c) gain[c] = at(kind, c);
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t c = 0; c < experts_; ++c) {
      if (kind_of[c] == kNone) continue;
      for (std::size_t to = 0; to < experts_; ++to) {
        const std::int64_t moved = gain[c] - at(kind_of[c], c) + at(kind_of[c], to);
        if (moved <= gain[to]) continue;
        gain[to] = moved;
        from[to] = c;
        changed = true;
      }
    }
  }
  std::size_t last = kNone;
  for (std::size_t c = 0; c < experts_; ++c) {
    if (kind_of[c] == kNone && (last == kNone || gain[c] > gain[last])) last = c;
  }
  for (; from[last] != kNone; last = from[last]) kind_of[last] = kind_of[from[last]];
  kind_of[last] = kind;
}

std::int64_t ChoiceCounts::matched() const {
  check(experts_ >= kinds_, kName, "{} kinds cannot have an expert each of {}", kinds_, experts_);
  std::vector<std::size_t> kind_of(experts_, kNone);
  for (std::size_t kind = 0; kind < kinds_; ++kind) give_expert(kind, kind_of);
  std::int64_t matched = 0;
  for (std::size_t c = 0; c < experts_; ++c) {
    if (kind_of[c] != kNone) matched += at(kind_of[c], c);
  }
  return matched;
}

double ChoiceCounts::agreement() const {
  return static_cast<double>(matched()) / static_cast<double>(std::max<std::int64_t>(count(), 1));
}

// H(kind) + H(expert) - H(both)
double ChoiceCounts::information() const {
  std::vector<double> of_kind(kinds_), of_expert(experts_), of_both(counts_.size());
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    of_both[i] = static_cast<double>(counts_[i]);
    of_kind[i / experts_] += of_both[i];
    of_expert[i % experts_] += of_both[i];
  }
  return std::max(0.0, entropy_of(of_kind) + entropy_of(of_expert) - entropy_of(of_both));
}

}  // namespace maskgrad
