// What a mask leaves of a problem, as text.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/train/data/dataset.hpp>
#include <maskgrad/train/report/report.hpp>

namespace maskgrad::apps {

/// The tokens of one sample of a batch of Distractors, without padding and those that ask for the
/// answer. `mask` [B, S] says what is kept.
std::vector<ReportToken> kept_tokens(const Batch& batch, const SequenceMask& mask,
                                     std::int64_t sample);

/// The tokens of a batch of one, each as text: "?" asks for the answer.
std::vector<std::string> labels_of(const Batch& batch);

/// What a model reads of the first sample: `_` stands for a token that was masked.
std::string kept_text(const Batch& batch, const SequenceMask& mask);

}  // namespace maskgrad::apps
