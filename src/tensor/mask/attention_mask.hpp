// Which queries may attend to which keys.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include <maskgrad/tensor/mask/runs.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad {

/// Pairs [B or 1, H or 1, S, T]: true = query i may attend to key j (keep). Batch or heads of size
/// 1 stand for any number of them. A mask is immutable, and copies share its memory. A
/// default-constructed mask says nothing. On such a mask all functions but defined(), == and
/// assignment throw Error "[attention_mask] used before it was given a value".
///
/// Each row (b, h, i) is kept as sorted, non-overlapping intervals of keys, two at most. If some
/// row needs more, the whole mask is kept as bits. The form depends on the pairs alone, not on how
/// the mask was made. Making or combining masks of intervals takes time and memory in proportion to
/// their rows, and no table of S x T bits.
///
/// All functions that make a mask throw Error for an S or T that is negative or above 2^31 - 1.
class AttentionMask {
 public:
  enum class Form : std::uint8_t { kIntervals, kBits };

  AttentionMask() = default;

  /// Every pair. This and the next functions give masks [1, 1, queries, keys].
  static AttentionMask all(std::int64_t queries, std::int64_t keys);
  /// j <= i + offset: row i stands at position i + offset. offset = keys - queries aligns the ends,
  /// as a decoder with a cache needs; 0 aligns the beginnings (PyTorch's is_causal).
  static AttentionMask causal(std::int64_t queries, std::int64_t keys, std::int64_t offset = 0);
  static AttentionMask causal(std::int64_t size) { return causal(size, size); }
  /// i - left <= j <= i + right. Throws Error for a negative left or right.
  static AttentionMask window(std::int64_t queries, std::int64_t keys, std::int64_t left,
                              std::int64_t right);
  /// j <= i or j < n: all see the prefix, the rest is causal (prefix language model; Raffel et al.
  /// 2020, T5). Throws Error for a negative n.
  static AttentionMask prefix(std::int64_t queries, std::int64_t keys, std::int64_t n);
  /// j < n: all see the first n keys (attention sinks; Xiao et al. 2023). Unite it with another
  /// mask by |. Throws Error for a negative n.
  static AttentionMask sink(std::int64_t queries, std::int64_t keys, std::int64_t n);
  /// ids[b, i] == ids[b, j] >= 0: packed sequences do not see each other. A negative id is padding:
  /// it attends to nothing, and nothing attends to it. ids [B, S] -> [B, 1, S, S]. Throws Error
  /// unless `ids` is int32 or int64 [B, S].
  static AttentionMask segments(const Tensor& ids);
  /// Every query attends to the keys that exist. [B, T] -> [B, 1, queries, T]; without `queries`
  /// [B, 1, T, T]. Throws Error for a SequenceMask that says nothing.
  static AttentionMask padding(const SequenceMask& keys, std::int64_t queries);
  static AttentionMask padding(const SequenceMask& keys);
  /// Positions that exist attend to positions that exist. Others attend to nothing.
  /// [B, S] -> [B, 1, S, S]. Throws Error for a SequenceMask that says nothing.
  static AttentionMask existing(const SequenceMask& positions);
  /// Queries that exist attend to keys that exist, in two sequences: [B, S] and [B, T] ->
  /// [B, 1, S, T]. Throws Error for a SequenceMask that says nothing, and for two batches.
  static AttentionMask existing(const SequenceMask& queries, const SequenceMask& keys);
  /// j < ends[b, i]: each query sees the keys before an end of its own. ends [B, S] ->
  /// [B, 1, S, keys]. An end of 0 or below leaves out all, one beyond the keys none. Throws Error
  /// unless `ends` is int64 [B, S].
  static AttentionMask before(const Tensor& ends, std::int64_t keys);
  /// begins[b, h, i] <= j < ends[b, h, i]: each query of each head sees one run of keys. Both
  /// [B, H, S] -> [B, H, S, keys]. What lies outside the keys is cut off. Throws Error unless both
  /// are int64 [B, H, S] of one shape.
  static AttentionMask between(const Tensor& begins, const Tensor& ends, std::int64_t keys);
  /// The bits of a bool tensor [S, T], [H, S, T] or [B, H, S, T]; they are copied. For attention
  /// without heads [H, S, T] is read as [B, S, T], see heads_as_batch().
  static AttentionMask bits(const Tensor& bits);
  /// The same, with an S or T of 1 stretched to `queries` or `keys`. Throws Error for other sizes
  /// that differ.
  static AttentionMask bits(const Tensor& bits, std::int64_t queries, std::int64_t keys);

  /// The pairs that are in a and in b; in a or in b; not in a. Throw Error "[attention_mask] sizes
  /// must be equal, or 1 for batch and heads: (...) and (...)" unless S and T are equal, and B and
  /// H equal or 1.
  friend AttentionMask operator&(const AttentionMask& a, const AttentionMask& b);
  friend AttentionMask operator|(const AttentionMask& a, const AttentionMask& b);
  friend AttentionMask operator~(const AttentionMask& a);
  /// The same shape and the same pairs (or both undefined). A batch of 1 is not one of 2.
  friend bool operator==(const AttentionMask& a, const AttentionMask& b);

  bool defined() const { return static_cast<bool>(body_); }
  const Shape& shape() const { return body().shape; }
  /// [1, H, S, T] -> [H, 1, S, T]: the pairs of each head become those of a sample, for attention
  /// without heads. Returns the mask itself when its batch is not 1.
  AttentionMask heads_as_batch() const;
  /// How many of the B x H x S x T pairs of shape() are kept.
  std::int64_t kept() const;
  /// How the mask was made: "causal", "window(3, 0) | sink(2)", "~(causal & padding)". A long
  /// operand is written "...". Valid while a copy of this mask lives.
  std::string_view recipe() const { return body().recipe.text; }
  /// A new bool tensor of shape().
  Tensor to_bits() const;

  // For kernels. No function below checks a range. Where the batch has size 1, b may be any number;
  // so may h where the heads have size 1.

  Form form() const { return body().bits ? Form::kBits : Form::kIntervals; }
  /// 1 when no row needs two, else 2. Only for kIntervals.
  int intervals_per_row() const { return body().intervals_per_row; }
  /// The row's intervals_per_row() intervals: sorted, not touching, empty ones last. Only for
  /// kIntervals.
  RunsView intervals(std::int64_t b, std::int64_t h, std::int64_t s) const {
    const std::int64_t n = body().intervals_per_row;
    return {body().intervals + row(b, h, s) * n, static_cast<std::size_t>(n)};
  }
  /// The row's T bits. Only for kBits.
  const bool* row_bits(std::int64_t b, std::int64_t h, std::int64_t s) const {
    return body().bits + row(b, h, s) * shape()[3];
  }
  /// All rows on a device: their intervals, int32 [B, H, S, intervals_per_row(), 2], or their bits,
  /// bool [B, H, S, T]. The first call uploads them for all copies of this mask, without waiting
  /// for the device. Any number of threads may call it. Throws Error for a device that is not
  /// there.
  const Tensor& rows_on(Device device) const;
  /// Calls f(lo, hi), two int64, for each run lo <= j < hi of the row's kept keys, in order,
  /// whatever the form. Runs do not touch.
  template <class F>
  void for_each_run(std::int64_t b, std::int64_t h, std::int64_t s, F&& f) const;
  /// Whether query s may attend to key t.
  bool keeps(std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t t) const;

 private:
  // What binds an expression together, tightest first.
  enum class Binding : std::uint8_t { kAtom, kAnd, kOr };
  // In the pool: masks are made anew in every training step.
  using Text = std::basic_string<char, std::char_traits<char>, PoolAllocator<char>>;
  struct Recipe {
    Text text;
    Binding binding = Binding::kAtom;
  };

  // What copies share. Exactly one of `intervals` and `bits` is set.
  struct Body final : RefCounted {
    Shape shape;
    Recipe recipe;
    Tensor storage;  // int32 [B, H, S, intervals_per_row, 2], or bool [B, H, S, T]
    int intervals_per_row = 0;
    const KeyInterval* intervals = nullptr;
    const bool* bits = nullptr;

    mutable std::mutex uploading;
    mutable Tensor on_device;  // a copy of `storage`, where somebody has asked for one
  };

  explicit AttentionMask(Ref<const Body> body) : body_(std::move(body)) {}

  template <class RunsOfRow>
  static AttentionMask build(const Shape& shape, Recipe recipe, const RunsOfRow& runs_of_row,
                             const bool* exists = nullptr);
  template <class IntervalOfRow>
  static AttentionMask one_run_a_row(std::int64_t queries, std::int64_t keys, Recipe recipe,
                                     IntervalOfRow&& interval_of_row);
  template <class Combine>
  static AttentionMask combine(const AttentionMask& a, const AttentionMask& b, Binding binding,
                               Combine&& combine_runs);
  template <class... Args>
  static Recipe named(fmt::format_string<Args...> format, Args&&... args);
  static void write_operand(const Recipe& operand, Binding within, Text& text);

  const Body& body() const {
    if (!body_) [[unlikely]]
      refuse_undefined();
    return *body_;
  }
  [[noreturn]] static void refuse_undefined();

  std::int64_t row(std::int64_t b, std::int64_t h, std::int64_t s) const {
    const Shape& dims = body().shape;
    return ((dims[0] == 1 ? 0 : b) * dims[1] + (dims[1] == 1 ? 0 : h)) * dims[2] + s;
  }

  Ref<const Body> body_;
};

template <class F>
void AttentionMask::for_each_run(std::int64_t b, std::int64_t h, std::int64_t s, F&& f) const {
  if (form() == Form::kIntervals) {
    for (const KeyInterval run : intervals(b, h, s)) {
      if (!run.empty()) f(std::int64_t{run.lo}, std::int64_t{run.hi});
    }
    return;
  }
  const bool* bits = row_bits(b, h, s);
  const auto keys = static_cast<std::int32_t>(shape()[3]);
  for (KeyInterval run = next_run(bits, 0, keys); !run.empty();
       run = next_run(bits, run.hi, keys)) {
    f(std::int64_t{run.lo}, std::int64_t{run.hi});
  }
}

inline bool AttentionMask::keeps(std::int64_t b, std::int64_t h, std::int64_t s,
                                 std::int64_t t) const {
  if (form() == Form::kBits) return row_bits(b, h, s)[t];
  for (const KeyInterval run : intervals(b, h, s)) {
    if (run.lo <= t && t < run.hi) return true;
  }
  return false;
}

}  // namespace maskgrad
