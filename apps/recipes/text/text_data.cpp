#include "recipes/text/text_data.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/formats/utf8.hpp>
#include <maskgrad/train/number_text.hpp>

namespace maskgrad::apps {
namespace {

std::int64_t bytes_of(const TextDocuments& documents, const std::vector<TextSpan>& spans) {
  std::int64_t bytes = 0;
  for (const TextSpan& span : spans) {
    bytes += std::min(span.last, documents.bytes(span.document)) - span.first;
  }
  return bytes;
}

constexpr std::int64_t kLeastSteps = 50;

// How often an epoch reads the text. Each has a checkpoint, and a line of the table. Batches beyond
// the largest size get fewer steps: the list of the pieces of an epoch must fit into memory.
std::int64_t passes_over(std::int64_t pieces, std::int64_t batch_size) {
  constexpr std::int64_t kLargestBatch = 10'000;
  const std::int64_t least = kLeastSteps * std::min(batch_size, kLargestBatch);
  return std::max<std::int64_t>(1, (least + pieces - 1) / pieces);
}

std::string held_out_line(const TextDocuments& documents, const TextSplit& split) {
  const std::int64_t held = bytes_of(documents, split.held_out);
  const std::string percent =
      percent_text(static_cast<double>(held) / static_cast<double>(documents.bytes()));
  if (split.within_document) {
    const auto& path = documents.path(split.held_out.front().document);
    return fmt::format(
        "held out: the last {} ({}) of {}, as no document is small enough to be "
        "held out whole",
        count_of(held, "byte"), percent, quote(path.string()));
  }
  return fmt::format("held out: {} of {} ({})", count_of(std::ssize(split.held_out), "document"),
                     count_of(held, "byte"), percent);
}

}  // namespace

TextData::TextData(const std::filesystem::path& path)
    : documents_(std::make_shared<TextDocuments>(path)) {}

std::unique_ptr<Dataset> TextData::pieces(DataPart part, const TextDataOptions& options) const {
  const TextSplit split = split_text(*documents_, part == DataPart::kAll ? 0 : options.val_share);
  const auto cut = [&](std::vector<TextSpan> spans, std::int64_t passes = 1) {
    return std::make_unique<TextPieces>(documents_, std::move(spans), options.context, passes);
  };
  if (part == DataPart::kAll) return cut(split.training);
  if (part == DataPart::kTraining) {
    const std::int64_t pieces = cut(split.training)->size();
    return cut(split.training, passes_over(pieces, options.batch_size));
  }
  auto held_out = cut(split.held_out);
  const std::int64_t most = options.val_samples;
  if (most == 0 || held_out->size() <= most) return held_out;
  return cut(spread_evenly(*held_out, most));
}

std::vector<std::string> TextData::explain(const TextDataOptions& options) const {
  const TextSplit split = split_text(*documents_, options.val_share);
  std::vector<std::string> lines = {fmt::format(
      "{} of {}", count_of(documents_->size(), "document"), count_of(documents_->bytes(), "byte"))};
  const std::string skipped = to_string(documents_->skipped());
  if (!skipped.empty()) lines.push_back(fmt::format("skipped: {}", skipped));
  lines.push_back(held_out_line(*documents_, split));
  if (!options.val.empty()) {
    lines.push_back(fmt::format(
        "validated on all of {}; what is held out is left for maskgrad eval", quote(options.val)));
  }
  const std::int64_t pieces = TextPieces(documents_, split.training, options.context).size();
  const std::int64_t passes = passes_over(pieces, options.batch_size);
  if (passes > 1) {
    const std::int64_t steps = (passes * pieces - 1) / options.batch_size + 1;
    lines.push_back(fmt::format("an epoch reads the {} of text {} times, to last {}",
                                count_of(pieces, "piece"), passes,
                                count_of(std::min(steps, kLeastSteps), "step")));
  }
  return lines;
}

std::vector<TextSpan> spread_evenly(const TextPieces& pieces, std::int64_t most) {
  std::vector<TextSpan> spans;
  const std::int64_t count = std::min(most, pieces.size());
  for (std::int64_t i = 0; i < count; ++i) {
    // The middle of each of `count` equal parts, without a product that overflows.
    const double at = (static_cast<double>(i) + 0.5) / static_cast<double>(count);
    spans.push_back(
        pieces.sample(static_cast<std::int64_t>(at * static_cast<double>(pieces.size()))));
  }
  return spans;
}

}  // namespace maskgrad::apps
