// What a mask keeps of inputs of which it is known what they need.
#pragma once

#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad::apps {

/// Sums and counts. A needed thing is kept where one of its tokens is. Tokens that ask for the
/// answer are always kept and do not count.
struct KeptCounts {
  Metric junk_dropped{"junk_dropped"}, needed_kept{"needed_kept"}, kept{"kept"};

  KeptCounts& operator+=(const KeptCounts& other);
};

/// `mask` [B, S] says what is kept of a batch of Distractors.
KeptCounts kept_counts(const Batch& batch, const SequenceMask& mask);

/// The tokens of a batch that are not junk.
SequenceMask oracle_mask(const Batch& batch);

}  // namespace maskgrad::apps
