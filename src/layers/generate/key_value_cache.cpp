#include <algorithm>
#include <iterator>

#include <maskgrad/layers/generate/cache_rows.hpp>
#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "cache";

// x [B, S, ...] as the beginning of [B, room, ...]; 0 behind it. Attention looks there for Inf and
// NaN, so it must hold numbers.
Tensor in_room(const Tensor& x, std::int64_t room) {
  if (x.dim(1) == room) return x;
  Tensor to = Tensor::zeros(x.shape().with_dim(1, room), x.dtype(), x.device());
  const Shape one = x.shape().with_dim(0, 1);
  const std::int64_t apart = one.with_dim(1, room).numel();
  for (std::int64_t b = 0; b < x.dim(0); ++b) {
    Tensor beginning = to.view(b * apart, one);
    beginning.copy_from(x.view(b * one.numel(), one));
  }
  return to;
}

// to[b] = from[source[b]], whole sequences.
Tensor selected(const Tensor& from, std::span<const std::int64_t> source) {
  const auto batch = static_cast<std::int64_t>(source.size());
  Tensor to = Tensor::empty(from.shape().with_dim(0, batch), from.dtype(), from.device());
  const Shape one = from.shape().with_dim(0, 1);
  for (std::int64_t b = 0; b < batch; ++b) {
    Tensor row = to.view(b * one.numel(), one);
    row.copy_from(from.view(source[static_cast<std::size_t>(b)] * one.numel(), one));
  }
  return to;
}

using Move = KeyValueCache::Move;

void put_rows(std::span<const RowMove> moves, std::int64_t step, const Tensor& rows, Tensor& kept) {
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, rows.dtype(), kName, [&]<class T>(T) {
      const std::int64_t features = rows.dim(2);
      const T* const from = rows.data<T>();
      T* const to = kept.data<T>();
      for (const RowMove& move : moves) {
        const T* const row = from + move.from * features;
        for (std::int64_t f = 0; f < features; ++f) to[move.to + f * step] = row[f];
      }
    });
  };
  dispatch_device(rows.device(), kPutRowsCuda, on_cpu, moves, step, rows, kept);
}

std::vector<Move> moves_of(const Tensor& places, const SequenceMask& mask) {
  std::vector<Move> moves;
  const auto numbers = places.values<std::int64_t>();
  for (std::int64_t i = 0; i < std::ssize(numbers); ++i) {
    const bool exists = !mask.defined() || mask.bits().data<bool>()[i];
    if (exists) moves.push_back({i, i / places.dim(1), numbers[static_cast<std::size_t>(i)]});
  }
  return moves;
}

// Rows of [B, S, F] go to their places in blocks of keys [B, N, F, 16].
void put_keys(std::span<const Move> moves, const Tensor& rows, Tensor& blocks) {
  constexpr std::int64_t kStep = ops::kKeysOfBlock;
  const std::int64_t features = rows.dim(2), of_sequence = blocks.dim(1) * features * kStep;
  PoolVector<RowMove> all;
  for (const Move& move : moves) {
    const std::int64_t in_block = move.place % kStep, block = move.place / kStep;
    all.push_back({move.from, move.sequence * of_sequence + block * features * kStep + in_block});
  }
  put_rows(all, kStep, rows, blocks);
}

// The same, in rows of values [B, room, F].
void put_values(std::span<const Move> moves, const Tensor& rows, Tensor& values) {
  PoolVector<RowMove> all;
  for (const Move& move : moves) {
    all.push_back({move.from, (move.sequence * values.dim(1) + move.place) * rows.dim(2)});
  }
  put_rows(all, 1, rows, values);
}

}  // namespace

KeyValueCache::KeyValueCache(std::int64_t batch, std::int64_t capacity) : capacity_(capacity) {
  check(batch >= 0 && capacity >= 0, kName, "needs sizes of at least 0, got {} sequences of {}",
        batch, capacity);
  lengths_.resize(static_cast<std::size_t>(batch));
}

void KeyValueCache::select(std::span<const std::int64_t> from) {
  for (const std::int64_t b : from) {
    check(b >= 0 && b < batch(), kName, "has no sequence {}, but {}", b, batch());
  }
  const auto of = [&](const std::vector<std::int64_t>& lengths) {
    std::vector<std::int64_t> taken;
    for (const std::int64_t b : from) taken.push_back(lengths[static_cast<std::size_t>(b)]);
    return taken;
  };
  std::map<std::string, Kept, std::less<>> kept;
  for (const auto& [layer, of_layer] : kept_) {
    kept[layer] = {selected(of_layer.keys, from), selected(of_layer.values, from),
                   of(of_layer.lengths)};
  }
  lengths_ = of(lengths_);
  kept_ = std::move(kept);
  ++selections_;
}

void KeyValueCache::check_fits(const Tensor& keys, const Tensor& values,
                               const Tensor& places) const {
  const auto stands_at_places = [&](const Tensor& x) {
    return x.rank() == 3 && x.shape().slice(0, 2) == places.shape();
  };
  check(places.rank() == 2 && places.dim(0) == batch() && stands_at_places(keys) &&
            stands_at_places(values),
        kName, "of {} sequences takes keys and values [B, S, F] at places [B, S]; got {}, {}, {}",
        batch(), keys.shape(), values.shape(), places.shape());
  check(is_floating(keys.dtype()) && keys.dtype() == values.dtype(), kName,
        "takes floating keys and values of one dtype, got {} and {}", to_string(keys.dtype()),
        to_string(values.dtype()));
}

std::int64_t KeyValueCache::make_room(std::int64_t positions) {
  if (positions > room_) {
    const std::int64_t twice = room_ > capacity_ / 2 ? capacity_ : 2 * room_;
    room_ = std::min(capacity_, std::max({positions, twice, ops::kKeysOfBlock}));
  }
  return room_;
}

// What a layer kept before; nothing yet for a new layer.
KeyValueCache::Kept KeyValueCache::kept_by(std::string_view layer, const Tensor& keys,
                                           const Tensor& values) const {
  const auto found = kept_.find(layer);
  if (found == kept_.end()) {
    const auto empty = [&](const Shape& shape) {
      return Tensor::empty(shape, keys.dtype(), keys.device());
    };
    return {empty(ops::shape_of_key_blocks(keys.shape().with_dim(1, 0))),
            empty(values.shape().with_dim(1, 0)), std::vector<std::int64_t>(lengths_.size())};
  }
  const Kept& kept = found->second;
  check(keys.dtype() == kept.keys.dtype() && keys.dim(2) == kept.keys.dim(2) &&
            values.dim(2) == kept.values.dim(2),
        kName, "layer '{}' kept {} keys and values of {} and {} features before, got {}, {} and {}",
        layer, to_string(kept.keys.dtype()), kept.keys.dim(2), kept.values.dim(2),
        to_string(keys.dtype()), keys.dim(2), values.dim(2));
  return kept;
}

const KeyValueCache::Kept& KeyValueCache::keep(std::string_view layer, const Tensor& keys,
                                               const Tensor& values, const Tensor& places,
                                               const SequenceMask& mask) {
  check_fits(keys, values, places);
  const std::vector<Move> moves = moves_of(places, mask);
  Kept kept = kept_by(layer, keys, values);
  const std::int64_t longest = add_to_lengths(layer, moves, kept.lengths);
  make_room(longest);
  if (kept.values.dim(1) < room_) {
    const Shape blocks = ops::shape_of_key_blocks(keys.shape().with_dim(1, room_));
    kept.keys = in_room(kept.keys, blocks[1]);
    kept.values = in_room(kept.values, room_);
  }
  put_keys(moves, keys, kept.keys);
  put_values(moves, values, kept.values);
  const auto found = kept_.find(layer);
  Kept& now = found == kept_.end() ? kept_[std::string(layer)] : found->second;
  now = std::move(kept);
  for (std::size_t b = 0; b < lengths_.size(); ++b) {
    lengths_[b] = std::max(lengths_[b], now.lengths[b]);
  }
  return now;
}

// Returns the largest of the lengths with these moves.
std::int64_t KeyValueCache::add_to_lengths(std::string_view layer, std::span<const Move> moves,
                                           std::vector<std::int64_t>& lengths) const {
  std::int64_t longest = 0;
  for (const Move& move : moves) {
    std::int64_t& length = lengths[static_cast<std::size_t>(move.sequence)];
    check(move.place == length, kName,
          "layer '{}' has {} positions of sequence {} and got position {}: a layer runs once in a "
          "pass, and a pass once",
          layer, length, move.sequence, move.place);
    check(move.place < capacity_, kName, "holds {} positions, got one more", capacity_);
    longest = std::max(longest, ++length);
  }
  return longest;
}

}  // namespace maskgrad
