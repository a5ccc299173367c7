// What attention keeps of what a model has read, so that each token is read once.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// The keys and values of B sequences, for each attention layer of a model:
///
///   KeyValueCache cache(batch, capacity);
///   Pass first = Pass::reading(cache);
///   Variable logits = model(prompts, first);   // [B, S, V]
///   Pass next = Pass::reading(cache);
///   logits = model(tokens, next);              // [B, 1, V]: the position behind
///
/// A pass reads some positions of each sequence, none for a sequence whose positions are all
/// masked. Logits have the same bits as those of the whole sequences at once, read alone or in any
/// batch, with any padding before or behind them.
/// Memory grows with the positions that were read: 16 at first, and then by doubling.
/// Each layer of the model takes part once in every pass. What breaks this is an Error: a layer
/// that runs twice, two layers of one path, a pass that is used again, one from before select(), or
/// one after a pass that only some attention layers took part in. A pass that fails behind the last
/// of them has read its positions, and one that fails before the first has read none: lengths()
/// tells.
class KeyValueCache {
 public:
  /// `capacity`: the most positions of a sequence. Throws Error for a number below 0.
  KeyValueCache(std::int64_t batch, std::int64_t capacity);

  std::int64_t batch() const { return static_cast<std::int64_t>(lengths_.size()); }
  std::int64_t capacity() const { return capacity_; }
  /// How many positions of each sequence were read.
  std::span<const std::int64_t> lengths() const { return lengths_; }

  /// Sequence b becomes a copy of what sequence from[b] was, for each b of the new batch. So
  /// sequences can branch, change places, and end. Throws Error for a sequence that is not there.
  void select(std::span<const std::int64_t> from);
  /// How often select() was called.
  std::int64_t selections() const { return selections_; }

  // For Pass.

  /// Makes room for this many positions of each sequence, up to the capacity. Returns the room that
  /// there is: 16 at first, where the capacity allows it, and twice as much whenever it grows.
  std::int64_t make_room(std::int64_t positions);

  /// Position `from` of [B, S, F], counted through the batch, goes to a place of its sequence.
  struct Move {
    std::int64_t from, sequence, place;
  };
  struct Kept {
    Tensor keys;                        // [B, N, F, 16], in blocks (ops/nn/key_blocks.hpp)
    Tensor values;                      // [B, room, F]
    std::vector<std::int64_t> lengths;  // how much of each sequence the layer has
  };
  /// Takes the keys and values [B, S, F] of a layer at these places, int64 [B, S], except where
  /// the mask has a hole. The places of a sequence go on where the layer's own end. Throws Error
  /// when they do not, when keys and values do not fit the cache or what the layer kept before, and
  /// for a place beyond the capacity. Then nothing was changed.
  const Kept& keep(std::string_view layer, const Tensor& keys, const Tensor& values,
                   const Tensor& places, const SequenceMask& mask);

 private:
  void check_fits(const Tensor& keys, const Tensor& values, const Tensor& places) const;
  Kept kept_by(std::string_view layer, const Tensor& keys, const Tensor& values) const;
  std::int64_t add_to_lengths(std::string_view layer, std::span<const Move> moves,
                              std::vector<std::int64_t>& lengths) const;

  std::int64_t capacity_, room_ = 0, selections_ = 0;
  std::vector<std::int64_t> lengths_;
  std::map<std::string, Kept, std::less<>> kept_;
};

}  // namespace maskgrad
