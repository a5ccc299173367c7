#include <algorithm>

#include <maskgrad/ops/cpu/attention/tile_cutter.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/tensor/checked.hpp>
#include <maskgrad/tensor/mask/runs.hpp>

namespace maskgrad::ops {
namespace {

constexpr std::int64_t kQueries = AttentionTiles::kQueries;

// Counts the pairs of the blocks that attention would cut tiles into, their queries in vectors of
// 16 on every machine, so that all plan alike.
class PairCounter {
 public:
  explicit PairCounter(std::int64_t keys) : cutter_(keys) {}

  TileCutter& tile() { return cutter_; }
  void end_tile() {
    constexpr std::int64_t kVector = 16;
    blocks_.clear();
    cutter_.cut(0, blocks_);
    for (const PairBlock& block : blocks_) {
      const std::int64_t queries = (block.queries() + kVector - 1) / kVector * kVector;
      pairs_ = checked_add("pack", "the pairs of a batch", pairs_, block.keys() * queries);
    }
  }
  std::int64_t pairs() const { return pairs_; }

 private:
  TileCutter cutter_;
  PoolVector<PairBlock> blocks_;
  std::int64_t pairs_ = 0;
};

// Joins runs of one list between which lies nothing but a gap within one stretch of `size` places,
// counted from `first`: where blocks of whole stretches begin and end does not change.
void join_within(std::int64_t size, std::int64_t first, RunsView runs, Runs& out) {
  out.clear();
  for (const KeyInterval run : runs) {
    if (!out.empty() && (out.back().hi - 1 - first) / size == (run.lo - first) / size) {
      out.back().hi = run.hi;
    } else {
      out.push_back(run);
    }
  }
}

// Each position attends to those of its own sequence of a padded batch.
std::int64_t pairs_of_batch(const SequenceMask& mask) {
  const std::int64_t batch = mask.shape()[0], length = mask.shape()[1];
  PairCounter counter(length);
  Runs runs, by_strips, by_chunks;
  for (std::int64_t b = 0; b < batch; ++b) {
    find_runs(mask.bits().data<bool>() + b * length, static_cast<std::int32_t>(length), runs);
    const std::int64_t first_key = runs.empty() ? 0 : runs.front().lo;
    join_within(AttentionTiles::kStrip, 0, runs, by_strips);
    join_within(AttentionTiles::kKeys, first_key, runs, by_chunks);
    counter.tile().start(first_key);
    for (std::int64_t begin = 0; begin < length; begin += kQueries) {
      for (const KeyInterval queries : by_strips) {
        const std::int64_t first = std::max<std::int64_t>(begin, queries.lo),
                           last = std::min<std::int64_t>(begin + kQueries, queries.hi);
        if (first >= last) continue;
        for (const KeyInterval keys : by_chunks) {
          counter.tile().add(first - begin, last - begin, keys.lo, keys.hi);
        }
      }
      counter.end_tile();
    }
  }
  return counter.pairs();
}

// The same in a row of sequences, one after another, that end at `ends`.
std::int64_t pairs_of_row(const PoolVector<std::int64_t>& ends) {
  const std::int64_t length = ends.empty() ? 0 : ends.back();
  PairCounter counter(length);
  for (std::int64_t begin = 0; begin < length; begin += kQueries) {
    const std::int64_t end = std::min(begin + kQueries, length);
    auto sequence = std::upper_bound(ends.begin(), ends.end(), begin);
    for (std::int64_t first = begin; first < end; ++sequence) {
      const std::int64_t lo = sequence == ends.begin() ? 0 : sequence[-1],
                         last = std::min(end, *sequence);
      if (first < last) counter.tile().add(first - begin, last - begin, lo, *sequence);
      first = last;
    }
    counter.end_tile();
  }
  return counter.pairs();
}

std::int64_t multiplications(const Work& work, std::int64_t positions, std::int64_t pairs) {
  const char* const what = "the work of a batch";
  return checked_add("pack", what, checked_multiply("pack", what, work.per_position, positions),
                     checked_multiply("pack", what, work.per_pair, pairs));
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
  check_packable(mask);
  const std::int64_t batch = mask.shape()[0], length = mask.shape()[1];
  PackingCost cost{.padded_positions = batch * length, .padded_pairs = pairs_of_batch(mask)};
  PoolVector<std::int64_t> ends;
  ends.reserve(static_cast<std::size_t>(batch));
  for (std::int64_t b = 0; b < batch; ++b) {
    const bool* exists = mask.bits().data<bool>() + b * length;
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
  return multiplications(work, cost.padded_positions, cost.padded_pairs);
}

std::int64_t PackingPlan::packed_multiplications() const {
  return checked_add("pack", "the work of a packed batch",
                     multiplications(work, cost.packed_positions, cost.packed_pairs), kPacking);
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
