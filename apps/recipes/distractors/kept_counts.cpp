#include "recipes/distractors/kept_counts.hpp"

#include <algorithm>
#include <array>

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kMostThings = 8;

void count(Metric& metric, bool hit) {
  metric.sum += hit;
  ++metric.count;
}

}  // namespace

KeptCounts& KeptCounts::operator+=(const KeptCounts& other) {
  junk_dropped += other.junk_dropped;
  needed_kept += other.needed_kept;
  kept += other.kept;
  return *this;
}

KeptCounts kept_counts(const Batch& batch, const SequenceMask& mask) {
  KeptCounts counts;
  const std::int64_t length = batch.inputs.dim(1);
  const Tensor uses = batch["use"], things = batch["thing"];
  const std::int64_t *const token = batch.inputs.data<std::int64_t>(),
                            *const use = uses.data<std::int64_t>(),
                            *const thing = things.data<std::int64_t>();
  const bool* const keep = mask.bits().data<bool>();
  for (std::int64_t b = 0; b < batch.inputs.dim(0); ++b) {
    std::array<bool, kMostThings> is_kept{};
    std::int64_t most = 0;
    for (std::int64_t i = b * length; i < (b + 1) * length; ++i) {
      if (token[i] == kPadToken || token[i] == Distractors::kAsking) continue;
      count(counts.kept, keep[i]);
      if (use[i] == static_cast<std::int64_t>(TokenUse::kJunk))
        count(counts.junk_dropped, !keep[i]);
      most = std::max(most, thing[i]);
      if (keep[i]) is_kept[static_cast<std::size_t>(thing[i])] = true;
    }
    for (std::int64_t t = 1; t <= most; ++t) {
      count(counts.needed_kept, is_kept[static_cast<std::size_t>(t)]);
    }
  }
  return counts;
}

SequenceMask oracle_mask(const Batch& batch) {
  const Tensor uses = batch["use"];
  Tensor bits = Tensor::empty(uses.shape(), DType::kBool);
  for (std::int64_t i = 0; i < bits.numel(); ++i) {
    bits.data<bool>()[i] =
        batch.inputs.data<std::int64_t>()[i] != kPadToken &&
        uses.data<std::int64_t>()[i] != static_cast<std::int64_t>(TokenUse::kJunk);
  }
  return SequenceMask(bits);
}

}  // namespace maskgrad::apps
