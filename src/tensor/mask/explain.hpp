// What a mask amounts to, for people: numbers, and a picture.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad {

/// Counts are of the mask's own shape: a batch or heads of size 1 count once.
struct MaskExplanation {
  Shape shape;
  std::string recipe;            // AttentionMask::recipe()
  std::string form;              // "one interval a row", "two intervals a row", "bits"
  std::int64_t longest_row = 0;  // runs of keys in the row that has most: more than two need bits
  std::int64_t pairs = 0, pairs_kept = 0;
  std::int64_t rows = 0, rows_with_nothing = 0;
  // The pairs cut into squares of tile x tile, those at the ends smaller: nothing to compute,
  // nothing to mask, and the rest.
  std::int64_t tile = 0;
  std::int64_t tiles_empty = 0, tiles_full = 0, tiles_partial = 0;

  /// Kept of all pairs, 0 to 1; 0 when there are none.
  double share() const;
};

/// Throws Error for a mask that says nothing, or a tile below 1.
MaskExplanation explain(const AttentionMask& mask, std::int64_t tile = 64);

/// A few lines:
///   causal & padding (2, 1, 128, 128)
///   keeps 12288 of 32768 pairs (37.5%)
///   0 of 256 rows have nothing to attend to
///   kept as one interval a row
///   tiles of 64 x 64: 2 empty, 2 full, 4 partial
std::string to_string(const MaskExplanation& explanation);

/// A picture of batch entry `b` and head `h`: a line for each query, a column for each key, '#'
/// kept, '.' not kept. Where there are more than max_size of either, a character stands for a
/// square of pairs, '+' where some are kept. Throws Error for a mask that says nothing, a b or h
/// that it does not have (any will do where that dimension is 1), or a max_size below 1.
std::string draw(const AttentionMask& mask, std::int64_t b = 0, std::int64_t h = 0,
                 std::int64_t max_size = 64);

/// A line for each sequence, a column for each position, '#' where it exists; where there are more
/// than max_rows or max_columns, a character stands for several, '+' where some exist. Throws Error
/// for a mask that says nothing, or a limit below 1.
std::string draw(const SequenceMask& mask, std::int64_t max_rows = 64,
                 std::int64_t max_columns = 64);

/// Printing a mask draws it, of a batch or heads the first entry; one that says nothing prints as
/// "(says nothing)", one without entries as its shape.
std::ostream& operator<<(std::ostream& out, const AttentionMask& mask);
std::ostream& operator<<(std::ostream& out, const SequenceMask& mask);

}  // namespace maskgrad
