#include <algorithm>
#include <iterator>

#include <maskgrad/layers/generate/key_value_cache.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "cache";

// x [B, S, ...] as the beginning of [B, room, ...]; 0 behind it. Attention looks there for Inf and
// NaN, so it must hold numbers.
Tensor in_room(const Tensor& x, std::int64_t room) {
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

// Position `from` of [B, S, ...], counted through the batch, goes to a place of its sequence.
struct Move {
  std::int64_t from, sequence, place;
};
std::vector<Move> moves_of(const Tensor& places, const SequenceMask& mask) {
  std::vector<Move> moves;
  const auto numbers = places.values<std::int64_t>();
  for (std::int64_t i = 0; i < std::ssize(numbers); ++i) {
    const bool exists = !mask.defined() || mask.bits().data<bool>()[i];
    if (exists) moves.push_back({i, i / places.dim(1), numbers[static_cast<std::size_t>(i)]});
  }
  return moves;
}

void copy_row(const Move& move, const Tensor& from, Tensor& to) {
  const Shape row = from.shape().with_dim(0, 1).with_dim(1, 1);
  Tensor target = to.view((move.sequence * to.dim(1) + move.place) * row.numel(), row);
  target.copy_from(from.view(move.from * row.numel(), row));
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
    return x.rank() >= 2 && x.shape().slice(0, 2) == places.shape();
  };
  check(places.rank() == 2 && places.dim(0) == batch() && stands_at_places(keys) &&
            stands_at_places(values),
        kName, "of {} sequences takes keys and values [B, S, ...] at places [B, S]; got {}, {}, {}",
        batch(), keys.shape(), values.shape(), places.shape());
}

std::int64_t KeyValueCache::make_room(std::int64_t positions) {
  if (positions > room_) {
    const std::int64_t twice = room_ > capacity_ / 2 ? capacity_ : 2 * room_;
    room_ = std::min(capacity_, std::max(positions, twice));
  }
  return room_;
}

// What a layer kept before; nothing yet for a new layer.
KeyValueCache::Kept& KeyValueCache::kept_by(std::string_view layer, const Tensor& keys,
                                            const Tensor& values) {
  auto found = kept_.find(layer);
  if (found == kept_.end()) {
    const auto nothing = [](const Tensor& x) {
      return Tensor::empty(x.shape().with_dim(1, 0), x.dtype(), x.device());
    };
    Kept fresh = {nothing(keys), nothing(values), std::vector<std::int64_t>(lengths_.size())};
    found = kept_.emplace(layer, std::move(fresh)).first;
  }
  Kept& kept = found->second;
  const auto is_like = [](const Tensor& x, const Tensor& all) {
    return x.dtype() == all.dtype() && x.shape().with_dim(1, all.dim(1)) == all.shape();
  };
  check(is_like(keys, kept.keys) && is_like(values, kept.values), kName,
        "layer '{}' kept {} {} and {} before, got {} {} and {}", layer,
        to_string(kept.keys.dtype()), kept.keys.shape(), kept.values.shape(),
        to_string(keys.dtype()), keys.shape(), values.shape());
  return kept;
}

const KeyValueCache::Kept& KeyValueCache::keep(std::string_view layer, const Tensor& keys,
                                               const Tensor& values, const Tensor& places,
                                               const SequenceMask& mask) {
  check_fits(keys, values, places);
  const std::vector<Move> moves = moves_of(places, mask);
  Kept& kept = kept_by(layer, keys, values);
  std::vector<std::int64_t> lengths = kept.lengths;
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
  make_room(longest);
  for (Tensor* all : {&kept.keys, &kept.values}) {
    if (all->dim(1) < room_) *all = in_room(*all, room_);
  }
  for (const Move& move : moves) {
    copy_row(move, keys, kept.keys);
    copy_row(move, values, kept.values);
  }
  kept.lengths = std::move(lengths);
  for (std::size_t b = 0; b < lengths_.size(); ++b) {
    lengths_[b] = std::max(lengths_[b], kept.lengths[b]);
  }
  return kept;
}

}  // namespace maskgrad
