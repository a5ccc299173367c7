#include <algorithm>
#include <iterator>
#include <mutex>

#include <maskgrad/ops/cpu/attention/tile_cutter.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

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
              std::int64_t end, TileCutter& cutter) {
  const bool intervals = mask.form() == AttentionMask::Form::kIntervals;
  for (std::int64_t s = begin, next; s < end; s = next) {
    next = intervals ? next_other_row(mask, b, h, s, end) : s + 1;
    mask.for_each_run(b, h, s, [&](std::int64_t lo, std::int64_t hi) {
      cutter.add(s - begin, next - begin, lo, hi);
    });
  }
}

// The first of the keys 0 .. end-1 that row (b, h, s) keeps; `end` where there is none.
std::int64_t first_key_of_row(const AttentionMask& mask, std::int64_t b, std::int64_t h,
                              std::int64_t s, std::int64_t end) {
  if (mask.form() == AttentionMask::Form::kBits) {
    const bool* const bits = mask.row_bits(b, h, s);
    return std::find(bits, bits + end, true) - bits;
  }
  const KeyInterval run = mask.intervals(b, h, s)[0];
  return run.empty() ? end : std::min<std::int64_t>(end, run.lo);
}

// The first key that any row of sample b keeps; 0 where there is none.
std::int64_t first_key_of(const AttentionMask& mask, std::int64_t b) {
  const Shape& shape = mask.shape();
  std::int64_t first = shape[3];
  for (std::int64_t row = 0; row < shape[1] * shape[2] && first > 0; ++row) {
    first = first_key_of_row(mask, b, row / shape[2], row % shape[2], first);
  }
  return first == shape[3] ? 0 : first;
}

// Appends the blocks of the tiles of heads [first, last), and where each tile's end; returns their
// pairs.
std::int64_t cut_heads(const AttentionMask& mask, std::int64_t first, std::int64_t last,
                       const PoolVector<std::int64_t>& first_keys, PoolVector<PairBlock>& blocks,
                       PoolVector<std::size_t>& ends) {
  constexpr std::int64_t kQueries = AttentionTiles::kQueries;
  const Shape& shape = mask.shape();
  TileCutter cutter(shape[3]);
  std::int64_t pairs = 0;
  for (std::int64_t head = first; head < last; ++head) {
    cutter.start(first_keys[static_cast<std::size_t>(head / shape[1])]);
    for (std::int64_t begin = 0; begin < shape[2]; begin += kQueries) {
      const std::int64_t end = std::min(begin + kQueries, shape[2]);
      add_rows(mask, head / shape[1], head % shape[1], begin, end, cutter);
      pairs += cutter.cut(begin, blocks);
      ends.push_back(blocks.size());
    }
  }
  return pairs;
}

}  // namespace

AttentionTiles::AttentionTiles(const AttentionMask& mask) {
  const Shape& shape = mask.shape();
  const std::int64_t heads = shape[0] * shape[1];
  auto* const body = new Body;
  body_ = Ref<const Body>(body);
  body->batch = shape[0];
  body->heads = shape[1];
  body->per_head = (shape[2] + kQueries - 1) / kQueries;
  body->tiles.resize(static_cast<std::size_t>(heads * body->per_head));
  body->first_keys.reserve(static_cast<std::size_t>(shape[0]));
  for (std::int64_t b = 0; b < shape[0]; ++b) body->first_keys.push_back(first_key_of(mask, b));
  std::mutex mutex;
  parallel_for(heads, least_for(64, shape[2]), [&](std::int64_t first, std::int64_t last) {
    const auto tiles = static_cast<std::size_t>((last - first) * body->per_head);
    PoolVector<PairBlock> blocks;
    PoolVector<std::size_t> ends;
    blocks.reserve(tiles);
    ends.reserve(tiles);
    const std::int64_t pairs = cut_heads(mask, first, last, body->first_keys, blocks, ends);
    auto* tile = body->tiles.data() + first * body->per_head;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      *tile++ = {blocks.data() + begin, end - begin};
      begin = end;
    }
    const std::lock_guard lock(mutex);
    body->pairs += pairs;
    body->parts.push_back(std::move(blocks));  // which stay where they are
  });
}

std::span<const PairBlock> AttentionTiles::blocks(std::int64_t b, std::int64_t h,
                                                  std::int64_t tile) const {
  const std::int64_t head =
      (body_->batch == 1 ? 0 : b) * body_->heads + (body_->heads == 1 ? 0 : h);
  return body_->tiles[static_cast<std::size_t>(head * body_->per_head + tile)];
}

bool ChunkWalk::next_of_many() {
  size_ = static_cast<std::size_t>(
      std::remove_if(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(size_),
                     [this](const PairBlock& block) { return block.end <= end_; }) -
      open_.begin());
  if (size_ == 0 && next_ == blocks_.size()) return false;
  constexpr auto kKeys = static_cast<std::int32_t>(AttentionTiles::kKeys);
  const auto chunk_of = [&](std::int32_t key) {
    return first_key_ + (key - first_key_) / kKeys * kKeys;
  };
  const std::int32_t begin = size_ ? end_ : chunk_of(blocks_[next_].begin);
  end_ = begin + kKeys;
  for (; next_ < blocks_.size() && blocks_[next_].begin < end_; ++next_) {
    std::size_t place = size_++;
    for (; place > 0 && open_[place - 1].first > blocks_[next_].first; --place) {
      open_[place] = open_[place - 1];
    }
    open_[place] = blocks_[next_];
  }
  for (std::size_t i = 0; i < size_; ++i) {
    PairBlock& part = parts_of_open_[i] = open_[i];
    part.begin = std::max(part.begin, begin);
    part.end = std::min(part.end, end_);
  }
  parts_ = {parts_of_open_.data(), size_};
  return true;
}

}  // namespace maskgrad::ops
