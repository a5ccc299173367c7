// Samples in memory, and how some of them become a batch.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// What one training step works on.
struct Batch {
  Tensor inputs;           // int64 tokens [B, S], padded
  Tensor targets;          // int64 [B]
  Tensor ids;              // int64 [B]: which samples of the data set these are
  std::int64_t epoch = 0;  // 0, 1, ...: together with an id, what an augmentation draws by

  /// Throws Error when there are no targets yet.
  std::int64_t size() const {
    check_given(targets.defined(), "data", "a batch");
    return targets.dim(0);
  }
};

/// Sequences of tokens of any length, each with one target.
class SequenceDataset {
 public:
  /// `length`: that of every batch; 0 for the longest sequence in the batch. Shorter ones are
  /// filled up with `pad`.
  /// Throws Error for a negative length.
  explicit SequenceDataset(std::int64_t length = 0, std::int64_t pad = 0);

  /// Throws Error when the sequence is longer than the fixed length.
  void add(std::span<const std::int64_t> tokens, std::int64_t target);

  /// The same samples without these tokens (stop words, punctuation): shorter sequences, where a
  /// mask would leave holes in long ones.
  SequenceDataset without(std::span<const std::int64_t> ids) const;

  /// "2000 samples, crc32c 1a2b3c4d": the checksum of all that a batch can show, the order of the
  /// samples, the fixed length and the padding included.
  std::string fingerprint() const;

  std::int64_t size() const { return static_cast<std::int64_t>(targets_.size()); }
  /// The samples with these indices, in this order. Throws Error for an index of none.
  Batch collate(std::span<const std::int64_t> indices) const;

 private:
  std::int64_t length_, pad_;
  std::vector<std::int64_t> tokens_;       // one sequence after the other
  std::vector<std::int64_t> begin_ = {0};  // sequence i is tokens_[begin_[i] .. begin_[i + 1])
  std::vector<std::int64_t> targets_;
};

}  // namespace maskgrad
