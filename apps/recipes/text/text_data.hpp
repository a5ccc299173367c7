// The data of the recipe `text`: documents, and which of them are held out.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <maskgrad/train/data/text_pieces.hpp>
#include <maskgrad/train/settings.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// The settings `context`, `batch_size`, `val_share`, `val_samples` and `val` of a run.
struct TextDataOptions {
  std::int64_t context, batch_size;
  double val_share;
  std::int64_t val_samples;  // of what is held out the most samples, spread evenly; 0: all
  std::string val;           // what is validated on; empty: what is held out
};

class TextData {
 public:
  /// Reads the file, or the files of the folder.
  explicit TextData(const std::filesystem::path& path);

  /// Pieces of `context` tokens. An epoch of training has at least 50 steps, and reads a small text
  /// several times. Throws Error for a text that is too short to hold anything out.
  std::unique_ptr<Dataset> pieces(DataPart part, const TextDataOptions& options) const;
  /// What there is, what was skipped and what is held out, and how often an epoch reads a small
  /// text, a line each.
  std::vector<std::string> explain(const TextDataOptions& options) const;

 private:
  std::shared_ptr<const TextDocuments> documents_;
};

/// Of the pieces at most `most`, spread evenly over all, as spans of their documents.
std::vector<TextSpan> spread_evenly(const TextPieces& pieces, std::int64_t most);

}  // namespace maskgrad::apps
