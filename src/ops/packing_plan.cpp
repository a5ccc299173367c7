#include <algorithm>

#include <maskgrad/ops/attention/tiles.hpp>
#include <maskgrad/ops/packing.hpp>

namespace maskgrad::ops {
namespace {

constexpr std::int64_t kQueries = AttentionTiles::kQueries, kKeys = AttentionTiles::kKeys;
constexpr std::int64_t kVector = 16;  // on every machine, so that all plan alike

std::int64_t whole_vectors(std::int64_t queries) {
  return (queries + kVector - 1) / kVector * kVector;
}

// Keys that a tile of the sequence reads: of each chunk, from the first that exists to the last.
std::int64_t keys_read(const bool* exists, std::int64_t length) {
  std::int64_t keys = 0;
  for (std::int64_t begin = 0; begin < length; begin += kKeys) {
    std::int64_t first = begin, last = std::min(begin + kKeys, length);
    while (first < last && !exists[first]) ++first;
    while (first < last && !exists[last - 1]) --last;
    keys += last - first;
  }
  return keys;
}

// Of one sequence of a padded batch; its tiles of nothing but padding have no pairs.
std::int64_t pairs_of_sequence(const bool* exists, std::int64_t length) {
  std::int64_t queries = 0;
  for (std::int64_t begin = 0; begin < length; begin += kQueries) {
    const std::int64_t end = std::min(begin + kQueries, length);
    if (std::find(exists + begin, exists + end, true) != exists + end) {
      queries += whole_vectors(end - begin);
    }
  }
  return queries * keys_read(exists, length);
}

// Of a row of sequences, one after another, that end at `ends`: a tile reads all sequences that it
// has a query of.
std::int64_t pairs_of_row(const PoolVector<std::int64_t>& ends) {
  std::int64_t pairs = 0;
  const std::int64_t length = ends.empty() ? 0 : ends.back();
  for (std::int64_t begin = 0; begin < length; begin += kQueries) {
    const std::int64_t end = std::min(begin + kQueries, length);
    const auto first = std::upper_bound(ends.begin(), ends.end(), begin);
    const auto last = std::upper_bound(first, ends.end(), end - 1);
    pairs += whole_vectors(end - begin) * (*last - (first == ends.begin() ? 0 : first[-1]));
  }
  return pairs;
}

std::string percent(std::int64_t part, std::int64_t whole) {
  const double share = whole ? static_cast<double>(part) / static_cast<double>(whole) : 1.0;
  return fmt::format("{:.0f}%", 100 * share);
}

// "950", "1.9 M"
std::string rounded(std::int64_t count) {
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T"};
  auto value = static_cast<double>(count);
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return fmt::format("{:.{}f}{}", value, unit > 0 && value < 99.95 ? 1 : 0, kUnits[unit]);
}

}  // namespace

PackingCost packing_cost(const SequenceMask& mask) {
  check(mask.defined(), "pack", "the mask says nothing; there is no padding to leave out");
  const std::int64_t batch = mask.shape()[0], length = mask.shape()[1];
  PackingCost cost{.padded_positions = batch * length};
  PoolVector<std::int64_t> ends;
  ends.reserve(static_cast<std::size_t>(batch));
  for (std::int64_t b = 0; b < batch; ++b) {
    const bool* exists = mask.bits().data<bool>() + b * length;
    cost.padded_pairs += pairs_of_sequence(exists, length);
    cost.packed_positions += std::count(exists, exists + length, true);
    ends.push_back(cost.packed_positions);
  }
  cost.packed_pairs = pairs_of_row(ends);
  return cost;
}

std::string to_string(const PackingCost& cost) {
  return fmt::format("padded: {} positions, {} pairs; packed: {} ({}), {} ({})",
                     cost.padded_positions, cost.padded_pairs, cost.packed_positions,
                     percent(cost.packed_positions, cost.padded_positions), cost.packed_pairs,
                     percent(cost.packed_pairs, cost.padded_pairs));
}

std::int64_t PackingPlan::padded_multiplications() const {
  return work.per_position * cost.padded_positions + work.per_pair * cost.padded_pairs;
}

std::int64_t PackingPlan::packed_multiplications() const {
  return work.per_position * cost.packed_positions + work.per_pair * cost.packed_pairs + kPacking;
}

PackingPlan plan_packing(const SequenceMask& mask, const Work& work) {
  PackingPlan plan{.cost = packing_cost(mask), .work = work};
  plan.pack = plan.packed_multiplications() < plan.padded_multiplications();
  return plan;
}

std::string to_string(const PackingPlan& plan) {
  struct Way {
    const char *does, *done;
    std::int64_t positions, pairs, multiplications;
  };
  const PackingCost& cost = plan.cost;
  const Way padded = {"pads", "padded", cost.padded_positions, cost.padded_pairs,
                      plan.padded_multiplications()};
  const Way packed = {"packs", "packed", cost.packed_positions, cost.packed_pairs,
                      plan.packed_multiplications()};
  const Way &chosen = plan.pack ? packed : padded, &other = plan.pack ? padded : packed;
  return fmt::format(
      "{}: {} positions and {} pairs cost {} multiplications; {}: {} positions and {} pairs would "
      "cost {}",
      chosen.does, chosen.positions, chosen.pairs, rounded(chosen.multiplications), other.done,
      other.positions, other.pairs, rounded(other.multiplications));
}

}  // namespace maskgrad::ops
