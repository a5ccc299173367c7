// Which positions of a batch of sequences exist, and what becomes of that knowledge.
#pragma once

#include <cstdint>
#include <span>

#include <maskgrad/tensor/autograd/watched.hpp>

namespace maskgrad {

/// Positions [B, S] of a batch: true = the position exists (keep), false = padding or a hole.
/// Immutable once made; copies share the bits, which are a copy of what the mask was made from. A
/// default-constructed mask says nothing: no position is known to be missing.
class SequenceMask {
 public:
  SequenceMask() = default;
  /// Throws Error unless `bits` is bool [B, S].
  explicit SequenceMask(Tensor bits);
  /// Position (b, s) exists where tokens[b, s] != pad. `tokens` is int32 or int64 [B, S].
  static SequenceMask from_tokens(const Tensor& tokens, std::int64_t pad);
  /// All but a set of ids: stop words, punctuation, padding.
  static SequenceMask from_tokens(const Tensor& tokens, std::span<const std::int64_t> excluded);
  /// The first lengths[b] of `length` positions exist. Throws Error for a length out of range.
  static SequenceMask from_lengths(std::span<const std::int64_t> lengths, std::int64_t length);

  bool defined() const { return bits_.tensor().defined(); }
  /// Throws Error when somebody has written to them, through a copy of this tensor.
  const Tensor& bits() const {
    if (bits_.is_changed()) [[unlikely]]
      refuse();
    return bits_.tensor();
  }
  const Shape& shape() const { return bits_.tensor().shape(); }
  /// How many positions exist. Throws Error for a mask that says nothing.
  std::int64_t kept() const;

  /// Positions in both, in either, and the others. Throw Error for other shapes, or a mask that
  /// says nothing.
  friend SequenceMask operator&(const SequenceMask& a, const SequenceMask& b);
  friend SequenceMask operator|(const SequenceMask& a, const SequenceMask& b);
  friend SequenceMask operator~(const SequenceMask& a);
  /// The same positions (or both undefined).
  friend bool operator==(const SequenceMask& a, const SequenceMask& b);

 private:
  [[noreturn]] static void refuse();

  Watched bits_;
};

/// What an operation or a layer does with the sequence mask of its input.
enum class MaskRule : std::uint8_t {
  kUnset,    // did not say: a mask that arrives is an error
  kKeeps,    // passes it on; all masked inputs must carry the same one
  kUses,     // reads it (attention, losses)
  kMakes,    // gives its output one
  kChanges,  // gives its output another one (shifting, packing, reversing)
  kEnds,     // handles the holes, and its output has no sequence any more
};

/// "keeps", "uses", "makes", "changes", "ends"; "-" for kUnset.
std::string_view to_string(MaskRule rule);

}  // namespace maskgrad
