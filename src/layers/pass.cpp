#include <algorithm>

#include <maskgrad/layers/adaptive_attention/head_windows.hpp>
#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/layers/pass.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

Tensor counted_from_zero(const Shape& shape) {
  Tensor positions = Tensor::empty(shape, DType::kInt64);
  std::int64_t* p = positions.data<std::int64_t>();
  for (std::int64_t i = 0; i < shape.numel(); ++i) p[i] = i % shape[1];
  return positions;
}

// The number of each kept position within its row.
Tensor counted_where_kept(const SequenceMask& mask) {
  const Shape& shape = mask.shape();
  Tensor positions = Tensor::zeros(shape, DType::kInt64);
  const bool* keep = mask.bits().data<bool>();
  std::int64_t* p = positions.data<std::int64_t>();
  for (std::int64_t b = 0; b < shape[0]; ++b) {
    std::int64_t next = 0;
    for (std::int64_t i = b * shape[1]; i < (b + 1) * shape[1]; ++i) {
      if (keep[i]) p[i] = next++;
    }
  }
  return positions;
}

// Calls f(i, positions[i]) for each position that exists.
template <class F>
void for_each_existing(const SequenceMask& mask, const Tensor& positions, F f) {
  const bool* const keep = mask.defined() ? mask.bits().data<bool>() : nullptr;
  const auto numbers = positions.values<std::int64_t>();
  for (std::int64_t i = 0; i < std::ssize(numbers); ++i) {
    if (!keep || keep[i]) f(i, numbers[static_cast<std::size_t>(i)]);
  }
}

// The number of each position of a packed row within its sequence.
Tensor counted_in_segments(const Tensor& segments) {
  Tensor positions = Tensor::empty(segments.shape(), DType::kInt64);
  const std::int64_t* segment = segments.data<std::int64_t>();
  std::int64_t* p = positions.data<std::int64_t>();
  for (std::int64_t i = 0; i < segments.numel(); ++i) {
    p[i] = i > 0 && segment[i] == segment[i - 1] ? p[i - 1] + 1 : 0;
  }
  return positions;
}

// All pairs [B, S, T] between positions that exist, all of them where there is no mask.
AttentionMask pairs_between(const SequenceMask& queries, const SequenceMask& keys,
                            const Shape& shape) {
  if (!queries.defined()) {
    return keys.defined() ? AttentionMask::padding(keys, shape[1])
                          : AttentionMask::all(shape[1], shape[2]);
  }
  const auto all_keys = [&] {
    return SequenceMask(Tensor::full({shape[0], shape[2]}, true, DType::kBool));
  };
  return AttentionMask::existing(queries, keys.defined() ? keys : all_keys());
}

}  // namespace

Pass Pass::training(std::uint64_t seed, std::uint64_t step) {
  return training_part(seed, step, 0, 1);
}

Pass Pass::training_part(std::uint64_t seed, std::uint64_t step, std::uint64_t part,
                         std::uint64_t parts) {
  Pass pass;
  pass.random_ = {seed, step * parts + part, step};
  return pass;
}

Pass Pass::reading(KeyValueCache& cache) {
  Pass pass;
  pass.cache_ = &cache;
  pass.selections_ = cache.selections();
  pass.read_.assign(cache.lengths().begin(), cache.lengths().end());
  return pass;
}

Pass Pass::unpacked() {
  Pass pass;
  pass.is_unpacked_ = true;
  return pass;
}

Pass Pass::on_row(const ops::Packing& packing) const {
  check_given(packing.segments.defined(), "pass", "the packing");
  check(!packing_, "pass", "the batch is packed already");
  check(!has_pairs(), "pass", "a batch whose attention has pairs of its own cannot be packed");
  check(cache_ == nullptr, "pass", "a batch that goes on from a cache cannot be packed");
  check(!is_unpacked_, "pass", "a pass made by unpacked() cannot be packed");
  Pass pass;
  pass.random_ = random_;
  pass.packing_ = packing;
  pass.limit_ = limit_;
  return pass;
}

std::uint64_t Pass::step() const {
  check(is_training(), "pass", "has no step: it is inference");
  return random_->step;
}

Random Pass::random(std::string_view use) const {
  check(is_training(), "pass",
        "has no random numbers: it is inference; use Pass::training(seed, step) to train");
  const auto path = Scope::path_in_pool(use);
  return Random(random_->seed, stream_of({path.data(), path.size()}), random_->draw);
}

void Pass::set_pairs(AttentionMask pairs) {
  check(!packing_, "pass", "a packed row cannot have pairs of its own");
  check(cache_ == nullptr, "pass",
        "a batch that goes on from a cache cannot have pairs of its own");
  pairs_ = std::move(pairs);
  made_ = make_ref<Made>();
}

Pass::OfMask& Pass::of(const Variable& x) {
  check(x.rank() >= 2, "pass", "a value of {} has no positions; it needs [B, S, ...]", x.shape());
  const Shape shape = x.shape().slice(0, 2);
  if (packing_) {
    check(shape == packing_->segments.shape(), "pass",
          "a value of {} does not stand on the packed row of {} positions", x.shape(),
          packing_->segments.numel());
  }
  for (OfMask& made : made_->of_masks) {
    if (made.shape == shape && made.mask == x.mask()) return made;
  }
  return made_->of_masks.emplace_back(OfMask{x.mask(), shape, {}, {}, {}, {}});
}

ops::AttentionPlan Pass::plan_of(const SequenceMask& mask, std::int64_t length,
                                 AttentionKind kind) const {
  AttentionMask pairs = packing_ ? packing_->attention() : pairs_;
  if (kind == AttentionKind::kCausal) {
    const AttentionMask causal = AttentionMask::causal(length);
    pairs = pairs.defined() ? pairs & causal : causal;
  }
  if (mask.defined()) return ops::AttentionPlan::existing(mask, pairs);
  return pairs.defined() ? pairs : AttentionMask::all(length, length);
}

ops::AttentionPlan Pass::attention(const Variable& x, AttentionKind kind) {
  check_given(x.defined(), "pass", "the input of attention");
  ops::AttentionPlan& plan = of(x).attention[static_cast<std::size_t>(kind)];
  if (plan.defined()) return plan;
  if (cache_ == nullptr) return plan = plan_of(x.mask(), x.dim(1), kind);
  check(kind == AttentionKind::kCausal, "pass",
        "bidirectional attention cannot go on from a cache: what was read would have to be read "
        "again");
  const Tensor positions = this->positions(x);
  Tensor ends = Tensor::zeros(positions.shape(), DType::kInt64);
  std::int64_t last = 0;
  for_each_existing(x.mask(), positions, [&](std::int64_t i, std::int64_t position) {
    ends.data<std::int64_t>()[i] = position + 1;
    last = std::max(last, position + 1);
  });
  return of(x).attention[static_cast<std::size_t>(kind)] =
             AttentionMask::before(ends, cache_->make_room(last));
}

ops::AttentionPlan Pass::attention(const Variable& x, AttentionKind kind,
                                   std::span<const std::int64_t> windows) {
  const ops::AttentionPlan whole = attention(x, kind);
  for (const OfWindows& made : of(x).of_windows) {
    if (made.kind == kind && std::ranges::equal(made.windows, windows)) return made.attention;
  }
  const ops::AttentionPlan plan =
      narrowed(whole, within_reach(x, *this, windows, whole.pairs().shape()[3]));
  of(x).of_windows.push_back({kind, {windows.begin(), windows.end()}, plan});
  return plan;
}

ops::AttentionPlan Pass::attention(const Variable& x, const Variable& memory) {
  check_given(x.defined() && memory.defined(), "pass", "an input of attention");
  check(!packing_, "pass", "a packed row does not attend to another sequence");
  check(x.rank() >= 2 && memory.rank() >= 2 && x.dim(0) == memory.dim(0), "pass",
        "attention needs [B, S, ...] and [B, T, ...], got {} and {}", x.shape(), memory.shape());
  const Shape shape = {x.dim(0), x.dim(1), memory.dim(1)};
  for (const OfTwoMasks& made : made_->of_two) {
    if (made.shape == shape && made.queries == x.mask() && made.keys == memory.mask()) {
      return made.attention;
    }
  }
  made_->of_two.push_back(
      {x.mask(), memory.mask(), shape, pairs_between(x.mask(), memory.mask(), shape)});
  return made_->of_two.back().attention;
}

Tensor Pass::positions(const Variable& x) {
  check_given(x.defined(), "pass", "the value whose positions are asked for");
  OfMask& made = of(x);
  if (made.positions.defined()) return made.positions;
  if (packing_) {
    made.positions = counted_in_segments(packing_->segments);
  } else {
    made.positions =
        x.mask().defined() ? counted_where_kept(x.mask()) : counted_from_zero(made.shape);
  }
  if (cache_ != nullptr) {
    check(made.shape[0] == std::ssize(read_), "pass", "the cache is of {} sequences, got {}",
          read_.size(), x.shape());
    std::int64_t* const position = made.positions.data<std::int64_t>();
    for_each_existing(made.mask, made.positions, [&](std::int64_t i, std::int64_t number) {
      position[i] = number + read_[static_cast<std::size_t>(i / made.shape[1])];
    });
  }
  return made.positions;
}

void Pass::limit_positions(std::int64_t most) {
  limit_->most_positions = std::min(most, most_positions().value_or(most));
}

Pass::KeysAndValues Pass::with_cache(const Variable& x, const Variable& k, const Variable& v) {
  if (cache_ == nullptr) return {k, v};
  check(Tape::current() == nullptr, "pass",
        "what reads from a cache cannot be recorded on a tape; let a NoGrad live");
  check(selections_ == cache_->selections(), "pass",
        "the cache's sequences were selected anew since this pass was made; make another");
  const auto path = Scope::path_in_pool();
  const KeyValueCache::Kept& kept =
      cache_->keep({path.data(), path.size()}, k.value(), v.value(), positions(x), x.mask());
  return {Variable(kept.keys), Variable(kept.values)};
}

Tensor Pass::places(const Variable& x) {
  const Tensor positions = this->positions(x);
  OfMask& made = of(x);
  if (made.places.defined()) return made.places;
  made.places = Tensor::empty(made.shape, DType::kInt64);
  const std::int64_t* position = positions.data<std::int64_t>();
  const std::int64_t* segment = packing_ ? packing_->segments.data<std::int64_t>() : nullptr;
  std::int64_t* place = made.places.data<std::int64_t>();
  for (std::int64_t i = 0; i < made.places.numel(); ++i) {
    const std::int64_t sequence = segment ? segment[i] : i / made.shape[1];
    place[i] = (sequence << 32) + position[i];
  }
  return made.places;
}

}  // namespace maskgrad
