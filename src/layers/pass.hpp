// What layers know of the pass that they take part in, besides their input.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/nn/attention_plan.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad {

class KeyValueCache;

/// Which positions of its sequence a position attends to: all, or those not behind it.
enum class AttentionKind : std::uint8_t { kBidirectional, kCausal };

/// One run of a model over one batch, forward and backward. A model hands it to its layers, which
/// may share what one of them made:
///
///   Pass pass = Pass::training(seed, step);
///   const Variable y = model(x, pass);
///
/// A pass serves one batch, on one thread. Copies share what one of them made.
class Pass {
 public:
  /// Inference: no layer draws random numbers.
  Pass() = default;
  /// A training step. Layers draw random numbers from (seed, their names, step).
  static Pass training(std::uint64_t seed, std::uint64_t step);
  /// Part `part` of a step that takes so many passes, as a Trainer with micro-batches does. Random
  /// numbers come from (seed, the layers' names, step * parts + part).
  static Pass training_part(std::uint64_t seed, std::uint64_t step, std::uint64_t part,
                            std::uint64_t parts);
  /// This pass on the packed row of a batch, with the same mode and random numbers. Throws Error
  /// for an undefined packing, and for a pass that may not be packed, see may_pack().
  Pass on_row(const ops::Packing& packing) const;

  /// Inference over a batch that goes on where each sequence of `cache` ends, see
  /// generate/key_value_cache.hpp. Positions count from there, and causal attention takes all that
  /// was read before. The cache must live as long as the pass. Bidirectional attention is an error,
  /// and so are packing, pairs of one's own, and recording on a tape.
  static Pass reading(KeyValueCache& cache);

  /// Inference on a batch that no layer packs. A packed row begins its sums elsewhere, so that the
  /// bits of a sample depend on the samples before it in the row.
  static Pass unpacked();
  /// Whether layers may run the batch on its packed row: not where it is packed already, goes on
  /// from a cache, has pairs of its own, or was made by unpacked().
  bool may_pack() const { return !is_unpacked_ && !packing_ && cache_ == nullptr && !has_pairs(); }

  bool is_training() const { return random_.has_value(); }
  /// The step of training(). Throws Error in inference.
  std::uint64_t step() const;
  /// Whether the batch goes on where a cache ends, see reading().
  bool is_reading() const { return cache_ != nullptr; }

  /// Random numbers for the layer at work in this step. They depend on its path (Scope::path(), the
  /// scopes around the model included) and on `use`. A layer that draws for several purposes names
  /// each with a `use`. Each call starts from the first number. On a packed row number i belongs to
  /// another element than in the padded batch. Throws Error in inference.
  Random random(std::string_view use = {}) const;

  /// How the batch is packed; nullptr when it is not. On a packed row every value is [1, K, ...]
  /// and carries no mask.
  const ops::Packing* packing() const { return packing_ ? &*packing_ : nullptr; }

  /// From now on attention takes only these pairs: [B or 1, H or 1, S, S]. (Bits [B, S, S] are read
  /// as heads: give AttentionMask::heads_as_batch() of them.) Such a batch is not packed. Throws
  /// Error on a packed row.
  void set_pairs(AttentionMask pairs);
  bool has_pairs() const { return pairs_.defined(); }
  /// What self-attention over x [B, S, ...] has to compute. These are the pairs of set_pairs(), or
  /// all pairs, between positions that exist; on a packed row, the pairs within each sequence. Of
  /// these, causal attention takes the pairs whose key is not behind the query. The plan is made
  /// once for each mask, and all blocks of a model share it. Throws Error when x is undefined, has
  /// no positions, or has not those of the packed row.
  ops::AttentionPlan attention(const Variable& x,
                               AttentionKind kind = AttentionKind::kBidirectional);
  /// The same without the pairs of head h that stand further than windows[h] apart, by their
  /// positions(): the plan has as many heads as there are windows. Made once for each mask and
  /// these windows. Throws Error as attention().
  ops::AttentionPlan attention(const Variable& x, AttentionKind kind,
                               std::span<const std::int64_t> windows);
  /// What attention from x [B, S, ...] to another sequence, memory [B, T, ...], has to compute: all
  /// pairs between positions that exist. The plan is made once for each two masks. Throws Error
  /// when one is undefined or has no positions, when their batches differ, and on a packed row.
  ops::AttentionPlan attention(const Variable& x, const Variable& memory);

  /// For an attention layer: the keys and values of all positions that its queries may attend to.
  /// They are k and v themselves, those of x; or where the pass reads on, [B, room, ...] of the
  /// cache, which has taken those of x at the places that the plan of attention(x) expects. Throws
  /// Error for a k or v that does not have the positions of x, and as KeyValueCache.
  struct KeysAndValues {
    Variable keys, values;
  };
  KeysAndValues with_cache(const Variable& x, const Variable& k, const Variable& v);

  /// The number of each position of x [B, S, ...] among those of its sequence that exist: int64
  /// [B, S], or [1, K] on a packed row. 0, 1, 2, ... in every sequence, whatever padding stands
  /// before, between or behind; 0 at positions that do not exist. Made once for each mask.
  /// Throws Error when x is undefined, has no positions, or has not those of the packed row.
  Tensor positions(const Variable& x);
  /// To be called by a layer that can tell no more than `most` positions of a sequence apart.
  void limit_positions(std::int64_t most);
  /// The least of what layers have said so far, in this pass or on its row; nothing when none has.
  std::optional<std::int64_t> most_positions() const { return limit_->most_positions; }
  /// A number for each position of x [B, S, ...] that exists, which no other of the batch has:
  /// int64 [B, S], or [1, K] on a packed row. It is 2^32 b + positions(x), where b is the
  /// sequence's number in the batch. So it depends neither on padding nor on packing. Throws Error
  /// as positions().
  Tensor places(const Variable& x);

 private:
  struct Source {
    std::uint64_t seed, draw, step;  // `draw` counts passes
  };
  struct OfWindows {
    AttentionKind kind;
    PoolVector<std::int64_t> windows;
    ops::AttentionPlan attention;
  };
  // What was made for values of these positions, kept for the next layer.
  struct OfMask {
    SequenceMask mask;
    Shape shape;                                  // [B, S], or [1, K] on a packed row
    std::array<ops::AttentionPlan, 2> attention;  // of each kind
    Tensor positions, places;
    PoolVector<OfWindows> of_windows;
  };
  struct OfTwoMasks {
    SequenceMask queries, keys;
    Shape shape;  // [B, S, T]
    ops::AttentionPlan attention;
  };
  struct Made : RefCounted {
    PoolVector<OfMask> of_masks;  // of each mask in the model: one, or a few
    PoolVector<OfTwoMasks> of_two;
  };
  struct Limit : RefCounted {
    std::optional<std::int64_t> most_positions;
  };
  OfMask& of(const Variable& x);
  ops::AttentionPlan plan_of(const SequenceMask& mask, std::int64_t length,
                             AttentionKind kind) const;

  std::optional<Source> random_;
  std::optional<ops::Packing> packing_;
  KeyValueCache* cache_ = nullptr;
  bool is_unpacked_ = false;
  PoolVector<std::int64_t> read_;  // how much of each sequence was read before, with a cache
  std::int64_t selections_ = 0;    // of the cache by then
  AttentionMask pairs_;
  Ref<Made> made_ = make_ref<Made>();
  Ref<Limit> limit_ = make_ref<Limit>();
};

}  // namespace maskgrad
