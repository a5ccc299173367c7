#include "recipes/article/article_data.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>

namespace maskgrad::apps {
namespace {

struct Sample {
  std::vector<std::int64_t> tokens;
  std::int64_t target;
};

std::vector<Sample> read_samples(const char* who, const std::filesystem::path& folder,
                                 std::int64_t limit) {
  std::vector<Sample> samples;
  for (const auto& shard : list_shards(folder, limit)) {
    for (const ArithmeticSample& sample : read_arithmetic_shard(shard)) {
      check(!sample.res.empty(), who, "'{}' holds a sample without an answer", shard.string());
      const std::string text = sample.defs + ":" + sample.op;
      check(text.size() <= kArticleLength, who, "'{}' holds '{}', of {} characters: at most {} fit",
            shard.string(), shortened(text), text.size(), kArticleLength);
      samples.push_back({arithmetic_tokens(text), arithmetic_tokens(sample.res).front()});
    }
  }
  return samples;
}

// The samples of a part, first and end.
std::pair<std::int64_t, std::int64_t> range_of(const char* who, DataPart part, double val_share,
                                               std::int64_t all) {
  if (part == DataPart::kAll || val_share == 0) return {0, all};
  check(all >= 2, who, "--val-share {} of {} leaves nothing to train on or to hold out", val_share,
        count_of(all, "sample"));
  const auto share = static_cast<std::int64_t>(std::llround(val_share * static_cast<double>(all)));
  const std::int64_t cut = all - std::clamp<std::int64_t>(share, 1, all - 1);
  return part == DataPart::kTraining ? std::pair(std::int64_t{0}, cut) : std::pair(cut, all);
}

}  // namespace

std::unique_ptr<Dataset> load_article_data(const std::string& recipe,
                                           const std::filesystem::path& folder, std::int64_t limit,
                                           DataPart part, double val_share) {
  const std::vector<Sample> samples = read_samples(recipe.c_str(), folder, limit);
  const auto [first, end] = range_of(recipe.c_str(), part, val_share, std::ssize(samples));
  auto dataset = std::make_unique<SequenceDataset>(kArticleLength, kPadToken);
  for (std::int64_t i = first; i < end; ++i) {
    const auto& [tokens, target] = samples[static_cast<std::size_t>(i)];
    dataset->add(tokens, target);
  }
  return dataset;
}

}  // namespace maskgrad::apps
