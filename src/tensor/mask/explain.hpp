// What a mask amounts to, for people: numbers, and a picture.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad {

/// Numbers about a mask. Counts are of its own shape: a batch or heads of size 1 count once.
struct MaskExplanation {
  Shape shape;
  std::string recipe;            // AttentionMask::recipe()
  std::string form;              // "one interval a row", "two intervals a row", "bits"
  std::int64_t longest_row = 0;  // runs of keys in the row that has most: more than two need bits
  std::int64_t pairs = 0, pairs_kept = 0;
  std::int64_t rows = 0, rows_with_nothing = 0;
  // The pairs are cut into tiles of tile x tile; those at the ends are smaller. An empty tile keeps
  // no pair, a full one every pair, a partial one some.
  std::int64_t tile = 0;
  std::int64_t tiles_empty = 0, tiles_full = 0, tiles_partial = 0;

  /// Kept of all pairs, 0 to 1; 0 when there are none.
  double share() const;
};

/// Throws Error for a mask that says nothing, or a tile below 1.
MaskExplanation explain(const AttentionMask& mask, std::int64_t tile = 64);

/// A few lines:
///   causal & padding (2, 1, 128, 128)
///   keeps 14432 of 32768 pairs (44.0%)
///   0 of 256 rows have nothing to attend to
///   kept as one interval a row
///   tiles of 64 x 64: 3 empty, 2 full, 3 partial
std::string to_string(const MaskExplanation& explanation);

/// A picture of batch entry `b` and head `h`: a line for each query, a column for each key, '#'
/// kept, '.' not kept. When there are more than max_size queries or keys, a character stands for a
/// square of pairs, with '+' where some of them are kept. Throws Error for a mask that says
/// nothing, for a `b` or `h` that the mask does not have, and for a max_size below 1. A batch or
/// heads of size 1 have every `b` or `h`.
std::string draw(const AttentionMask& mask, std::int64_t b = 0, std::int64_t h = 0,
                 std::int64_t max_size = 64);

/// A picture: a line for each sequence, a column for each position, '#' where it exists, '.' where
/// it does not. When there are more than max_rows sequences or max_columns positions, a character
/// stands for several, with '+' where some of them exist. Throws Error for a mask that says
/// nothing, a limit below 1, and more than 2^31 - 1 positions.
std::string draw(const SequenceMask& mask, std::int64_t max_rows = 64,
                 std::int64_t max_columns = 64);

/// Prints draw(mask), of an AttentionMask the first batch entry and head. A mask that says nothing
/// prints as "(says nothing)". An AttentionMask without batch entries or heads prints as its shape.
std::ostream& operator<<(std::ostream& out, const AttentionMask& mask);
std::ostream& operator<<(std::ostream& out, const SequenceMask& mask);

}  // namespace maskgrad
