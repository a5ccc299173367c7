#include "recipes/written_number.hpp"

#include <string_view>
#include <vector>

#include <maskgrad/layers/generate/sample.hpp>
#include <maskgrad/train/data/arithmetic.hpp>

namespace maskgrad::apps {

WrittenToken likeliest_in_number(const Tensor& logits, std::int64_t place) {
  const std::string_view characters = place == 0 ? "+-" : "0123456789";
  const std::int64_t classes = logits.dim(2);
  const std::vector<double> of = probabilities(logits.view(place * classes, {classes}), {});
  WrittenToken best = {0, -1};
  for (const char c : characters) {
    const std::size_t token = kArithmeticVocabulary.find(c);
    if (of[token] > best.probability) best = {static_cast<std::int64_t>(token), of[token]};
  }
  return best;
}

}  // namespace maskgrad::apps
