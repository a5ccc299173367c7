#include <algorithm>
#include <iterator>

#include <maskgrad/ops/attention/tiles.hpp>

namespace maskgrad::ops {
namespace {

constexpr std::int64_t kKeys = AttentionTiles::kKeys;

// Gathers the rows of one tile, chunk by chunk of keys.
class ChunkCounts {
 public:
  explicit ChunkCounts(std::int64_t keys)
      : chunks_(static_cast<std::size_t>((keys + kKeys - 1) / kKeys)) {}

  void start() { std::fill(chunks_.begin(), chunks_.end(), Chunk{}); }

  // The same run in each of `rows`.
  void add_run(std::int64_t lo, std::int64_t hi, std::int64_t rows) {
    for (std::int64_t c = lo / kKeys; c * kKeys < hi; ++c) {
      Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
      const std::int64_t begin = std::max(lo, c * kKeys), end = std::min(hi, (c + 1) * kKeys);
      chunk.kept += rows * (end - begin);
      chunk.begin = std::min(chunk.begin, begin);
      chunk.end = std::max(chunk.end, end);
    }
  }

  // Appends the ranges of a tile of `queries`, neighbours of one kind merged; returns their pairs.
  std::int64_t write(std::int64_t queries, PoolVector<KeyRange>& ranges) const {
    const std::size_t first = ranges.size();
    std::int64_t width = 0;
    for (const Chunk& chunk : chunks_) {
      if (chunk.kept == 0) continue;
      width += chunk.end - chunk.begin;
      const KeyRange range = {static_cast<std::int32_t>(chunk.begin),
                              static_cast<std::int32_t>(chunk.end),
                              chunk.kept == queries * (chunk.end - chunk.begin)};
      if (ranges.size() > first && ranges.back().end == range.begin &&
          ranges.back().full == range.full) {
        ranges.back().end = range.end;
      } else {
        ranges.push_back(range);
      }
    }
    return width * queries;
  }

 private:
  struct Chunk {
    std::int64_t kept = 0, begin = INT64_MAX, end = 0;
  };

  PoolVector<Chunk> chunks_;
};

// The first row after s that has other intervals. Rows stand side by side, so each is compared with
// the one behind it.
std::int64_t next_other_row(const AttentionMask& mask, std::int64_t b, std::int64_t h,
                            std::int64_t s, std::int64_t end) {
  const RunsView runs = mask.intervals(b, h, s);
  const auto each = std::ssize(runs);
  const KeyInterval* const last = runs.data() + (end - s - 1) * each;
  const KeyInterval* const before = std::mismatch(runs.data(), last, runs.data() + each).first;
  return s + (before - runs.data()) / each + 1;
}

// Neighbours with the same runs, as padding has them, are counted together.
void add_rows(const AttentionMask& mask, std::int64_t b, std::int64_t h, std::int64_t begin,
              std::int64_t end, ChunkCounts& counts) {
  const bool intervals = mask.form() == AttentionMask::Form::kIntervals;
  for (std::int64_t s = begin, next; s < end; s = next) {
    next = intervals ? next_other_row(mask, b, h, s, end) : s + 1;
    mask.for_each_run(b, h, s,
                      [&](std::int64_t lo, std::int64_t hi) { counts.add_run(lo, hi, next - s); });
  }
}

}  // namespace

AttentionTiles::AttentionTiles(const AttentionMask& mask) {
  const Shape& shape = mask.shape();
  auto* body = new Body;
  body_ = Ref<const Body>(body);
  body->batch = shape[0];
  body->heads = shape[1];
  body->per_head = (shape[2] + kQueries - 1) / kQueries;
  body->first.reserve(static_cast<std::size_t>(body->batch * body->heads * body->per_head + 1));
  ChunkCounts counts(shape[3]);
  for (std::int64_t head = 0; head < body->batch * body->heads; ++head) {
    for (std::int64_t begin = 0; begin < shape[2]; begin += kQueries) {
      const std::int64_t end = std::min(begin + kQueries, shape[2]);
      counts.start();
      add_rows(mask, head / body->heads, head % body->heads, begin, end, counts);
      body->first.push_back(body->ranges.size());
      body->pairs += counts.write(end - begin, body->ranges);
    }
  }
  body->first.push_back(body->ranges.size());
}

std::span<const KeyRange> AttentionTiles::ranges(std::int64_t b, std::int64_t h,
                                                 std::int64_t tile) const {
  const std::int64_t head =
      (body_->batch == 1 ? 0 : b) * body_->heads + (body_->heads == 1 ? 0 : h);
  const auto i = static_cast<std::size_t>(head * body_->per_head + tile);
  return {body_->ranges.data() + body_->first[i], body_->first[i + 1] - body_->first[i]};
}

}  // namespace maskgrad::ops
