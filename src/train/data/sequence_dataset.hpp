// Sequences of tokens in memory.
#pragma once

#include <vector>

#include <maskgrad/train/data/dataset.hpp>

namespace maskgrad {

/// Sequences of tokens of any length, each with one target. A batch has inputs, the padded tokens,
/// int64 [B, S], and targets, int64 [B].
class SequenceDataset : public Dataset {
 public:
  /// `length` is the S of every batch. With 0 it is the length of the longest sequence in the
  /// batch. Shorter sequences are filled up with `pad`. Throws Error for a negative length.
  explicit SequenceDataset(std::int64_t length = 0, std::int64_t pad = 0);

  /// Throws Error when the sequence is longer than the fixed length.
  void add(std::span<const std::int64_t> tokens, std::int64_t target);

  /// The same samples without these tokens, such as stop words and punctuation. It makes sequences
  /// shorter. A mask would leave holes in them instead.
  SequenceDataset without(std::span<const std::int64_t> ids) const;

  /// The checksum covers tokens, targets, the order of the samples, the fixed length and the
  /// padding token.
  std::string fingerprint() const override;

  std::int64_t size() const override { return static_cast<std::int64_t>(targets_.size()); }
  Batch collate(std::span<const std::int64_t> indices) const override;

 private:
  std::int64_t length_, pad_;
  std::vector<std::int64_t> tokens_;       // one sequence after the other
  std::vector<std::int64_t> begin_ = {0};  // sequence i is tokens_[begin_[i] .. begin_[i + 1])
  std::vector<std::int64_t> targets_;
};

}  // namespace maskgrad
