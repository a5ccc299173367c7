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

class TextData {
 public:
  /// Reads the file, or the files of the folder, and holds out the setting `val_share` of them.
  TextData(const std::filesystem::path& path, double val_share);

  /// Pieces of `context` tokens. Of those that are held out at most `val_samples`, spread evenly;
  /// 0: all.
  std::unique_ptr<Dataset> pieces(DataPart part, std::int64_t context,
                                  std::int64_t val_samples) const;
  /// What there is, what was skipped and what is held out, a line each.
  std::vector<std::string> explain() const;

 private:
  std::shared_ptr<const TextDocuments> documents_;
  TextSplit split_;
};

/// Of the pieces at most `most`, spread evenly over all, as spans of their documents.
std::vector<TextSpan> spread_evenly(const TextPieces& pieces, std::int64_t most);

}  // namespace maskgrad::apps
