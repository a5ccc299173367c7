#include "recipes/text/text_data.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad::apps {
namespace {

std::int64_t bytes_of(const TextDocuments& documents, const std::vector<TextSpan>& spans) {
  std::int64_t bytes = 0;
  for (const TextSpan& span : spans) {
    bytes += std::min(span.last, documents.bytes(span.document)) - span.first;
  }
  return bytes;
}

std::string count_of(std::int64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::vector<TextSpan> all_of(const TextDocuments& documents) {
  return split_text(documents, 0).training;
}

}  // namespace

TextData::TextData(const std::filesystem::path& path, double val_share)
    : documents_(std::make_shared<TextDocuments>(path)),
      split_(split_text(*documents_, val_share)) {}

std::unique_ptr<Dataset> TextData::pieces(DataPart part, std::int64_t context,
                                          std::int64_t val_samples) const {
  const auto cut = [&](std::vector<TextSpan> spans) {
    return std::make_unique<TextPieces>(documents_, std::move(spans), context);
  };
  if (part == DataPart::kAll) return cut(all_of(*documents_));
  if (part == DataPart::kTraining) return cut(split_.training);
  auto held_out = cut(split_.held_out);
  if (val_samples == 0 || held_out->size() <= val_samples) return held_out;
  return cut(spread_evenly(*held_out, val_samples));
}

std::vector<std::string> TextData::explain() const {
  const std::int64_t bytes = documents_->bytes(), held = bytes_of(*documents_, split_.held_out);
  std::vector<std::string> lines = {
      fmt::format("{} of {}", count_of(documents_->size(), "document"), count_of(bytes, "byte"))};
  const std::string skipped = to_string(documents_->skipped());
  if (!skipped.empty()) lines.push_back(fmt::format("skipped: {}", skipped));
  const double percent = 100 * static_cast<double>(held) / static_cast<double>(bytes);
  if (split_.within_document) {
    const auto& path = documents_->path(split_.held_out.front().document);
    lines.push_back(
        fmt::format("held out: the last {} ({:.1f}%) of {}, as no document is small "
                    "enough to be held out whole",
                    count_of(held, "byte"), percent, quote(path.string())));
  } else {
    lines.push_back(fmt::format("held out: {} of {} ({:.1f}%)",
                                count_of(std::ssize(split_.held_out), "document"),
                                count_of(held, "byte"), percent));
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
