#include "recipes/distractors/kept_tokens.hpp"

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>

namespace maskgrad::apps {
namespace {

TokenRole role_of(TokenUse use) {
  if (use == TokenUse::kNeeded) return TokenRole::kNeeded;
  return use == TokenUse::kJunk ? TokenRole::kJunk : TokenRole::kOther;
}

}  // namespace

std::vector<ReportToken> kept_tokens(const Batch& batch, const SequenceMask& mask,
                                     std::int64_t sample) {
  const std::int64_t length = batch.inputs.dim(1);
  const Tensor uses = batch["use"];
  std::vector<ReportToken> tokens;
  for (std::int64_t i = sample * length; i < (sample + 1) * length; ++i) {
    const auto use = static_cast<TokenUse>(uses.data<std::int64_t>()[i]);
    if (use == TokenUse::kNone) continue;
    tokens.push_back({arithmetic_text({batch.inputs.data<std::int64_t>() + i, 1}),
                      mask.bits().data<bool>()[i], role_of(use)});
  }
  return tokens;
}

std::vector<std::string> labels_of(const Batch& batch) {
  std::vector<std::string> labels;
  for (const std::int64_t& token : batch.inputs.values<std::int64_t>()) {
    labels.push_back(token == Distractors::kAsking ? "?" : arithmetic_text({&token, 1}));
  }
  return labels;
}

std::string kept_text(const Batch& batch, const SequenceMask& mask) {
  std::string text;
  for (std::int64_t i = Distractors::kReading; i < batch.inputs.dim(1); ++i) {
    text += mask.bits().data<bool>()[i]
                ? arithmetic_text({batch.inputs.data<std::int64_t>() + i, 1})
                : "_";
  }
  return text;
}

}  // namespace maskgrad::apps
