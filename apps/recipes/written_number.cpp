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

Answer write_number(std::int64_t places,
                    const std::function<Tensor(std::span<const std::int64_t> written)>& logits) {
  std::vector<std::int64_t> written;
  double probability = 1;
  for (std::int64_t i = 0; i < places; ++i) {
    const auto [token, share] = likeliest_in_number(logits(written), i);
    written.push_back(token);
    probability *= share;
  }
  return {std::to_string(std::stoll(arithmetic_text(written))), probability};
}

}  // namespace maskgrad::apps
