// The samples of the article's experiment, from shards of arithmetic.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// How many characters its model reads.
inline constexpr std::int64_t kArticleLength = 20;

/// Of the first `limit` shards of a folder, or of all for 0: questions as tokens, padded, and the
/// first character of each answer. `val_share` of the samples, the last, is held out: at least one,
/// and at least one is left to train on. With 0 nothing is, and every part is all of them.
/// `recipe` is what errors call it. Throws Error as list_shards() and read_arithmetic_shard(), for
/// a question that is too long or has no answer, and where there are too few samples to hold any
/// out.
std::unique_ptr<Dataset> load_article_data(const std::string& recipe,
                                           const std::filesystem::path& folder, std::int64_t limit,
                                           DataPart part, double val_share);

}  // namespace maskgrad::apps
