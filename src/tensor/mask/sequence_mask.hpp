// Which positions of a batch of sequences exist, and what becomes of that knowledge.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>

#include <maskgrad/tensor/autograd/watched.hpp>

namespace maskgrad {

/// Positions [B, S] of a batch: true = the position exists (keep), false = padding or a hole.
/// A mask is immutable. It has bits of its own, on the host, and copies of the mask share them. A
/// default-constructed mask says nothing: no position is known to be missing.
class SequenceMask {
 public:
  SequenceMask() = default;
  /// Throws Error unless `bits` is bool [B, S] on the host.
  explicit SequenceMask(Tensor bits);
  /// Position (b, s) exists where tokens[b, s] != pad. Throws Error unless `tokens` is int32 or
  /// int64 [B, S] on the host.
  static SequenceMask from_tokens(const Tensor& tokens, std::int64_t pad);
  /// The same for several ids, such as stop words, punctuation and padding: position (b, s) exists
  /// where tokens[b, s] is none of `excluded`.
  static SequenceMask from_tokens(const Tensor& tokens, std::span<const std::int64_t> excluded);
  /// The first lengths[b] of `length` positions exist. Throws Error for a length out of range.
  static SequenceMask from_lengths(std::span<const std::int64_t> lengths, std::int64_t length);

  bool defined() const { return static_cast<bool>(body_); }
  /// bool [B, S]; an undefined Tensor for a mask that says nothing. Throws Error when somebody has
  /// written to the bits through a copy of this Tensor.
  const Tensor& bits() const {
    const Watched& own = watched_bits();
    if (own.is_changed()) [[unlikely]]
      refuse();
    return own.tensor();
  }
  /// The bits on a device, for kernels. The first call uploads them for all copies of this mask,
  /// without waiting for the device. Any number of threads may call it. Throws Error as bits(),
  /// when somebody has written to the bits on the device, and for a device that is not there.
  const Tensor& bits_on(Device device) const;
  const Shape& shape() const { return watched_bits().tensor().shape(); }
  /// How many positions exist. Throws Error for a mask that says nothing.
  std::int64_t kept() const;

  /// The positions that exist in a and in b; in a or in b; not in a. Throw Error when the shapes
  /// differ, and for a mask that says nothing.
  friend SequenceMask operator&(const SequenceMask& a, const SequenceMask& b);
  friend SequenceMask operator|(const SequenceMask& a, const SequenceMask& b);
  friend SequenceMask operator~(const SequenceMask& a);
  /// The same positions (or both undefined).
  friend bool operator==(const SequenceMask& a, const SequenceMask& b);

 private:
  // What copies of a mask share.
  struct Body : RefCounted {
    explicit Body(Tensor own) : bits(std::move(own)) {}

    const Watched bits;
    std::mutex uploading;
    Watched on_device;  // a copy of the bits, where somebody has asked for one
  };

  [[noreturn]] static void refuse();
  static const Watched& no_bits();
  const Watched& watched_bits() const { return body_ ? body_->bits : no_bits(); }

  Ref<Body> body_;
};

/// What an operation or a layer does with the sequence mask of its input.
enum class MaskRule : std::uint8_t {
  kUnset,    // not declared: a mask that arrives is an error
  kKeeps,    // passes it on; all masked inputs must carry the same one
  kUses,     // reads it (attention, losses)
  kMakes,    // gives its output one
  kChanges,  // gives its output another one (shifting, packing, reversing)
  kEnds,     // handles the holes, and its output has no sequence any more
};

/// "keeps", "uses", "makes", "changes", "ends"; "-" for kUnset.
std::string_view to_string(MaskRule rule);

}  // namespace maskgrad
