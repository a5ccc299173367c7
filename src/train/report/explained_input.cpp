#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/tensor/mask/explain.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/report/explained_input.hpp>
#include <maskgrad/train/report/html.hpp>

namespace maskgrad {
namespace {

constexpr double kNoEffect = 1e-6;  // roundings of a weight in float32

struct RuleInWords {
  std::string_view rule;
  const char* words;
};
constexpr RuleInWords kRules[] = {
    {"all", "every position attends to every position"},
    {"causal", "a position attends to itself and to those before it"},
    {"existing", "positions that exist attend to positions that exist"},
    {"padding", "every position attends to the keys that exist"},
    {"segments", "a position attends to those of its own document"},
    {"before", "a position attends to the keys before an end of its own"},
    {"bits", "each pair is given by itself"},
};

// The words of "causal", or of "window(3, 0)"; "" for others.
std::string words_of_one(std::string_view rule) {
  for (const auto& [name, words] : kRules) {
    if (rule == name) return words;
  }
  const std::size_t open = rule.find('(');
  const std::string_view name = rule.substr(0, open);
  if (open == std::string_view::npos || !rule.ends_with(')')) return "";
  const std::string_view in = rule.substr(open + 1, rule.size() - open - 2);
  const std::size_t comma = in.find(", ");
  if (name == "prefix") return fmt::format("all attend to the first {}; the rest is causal", in);
  if (name == "sink") return fmt::format("all attend to the first {} keys", in);
  if (name == "causal") return fmt::format("causal, with the queries shifted by {}", in.substr(7));
  if (name != "window" || comma == std::string_view::npos) return "";
  return fmt::format("a position attends to {} before it, to itself and to {} behind it",
                     in.substr(0, comma), in.substr(comma + 2));
}

// Of head h, how much of its weight query s gives to keys that do not exist.
double at_padding(const ExplainedInput& input, const Tensor& weights, std::int64_t h,
                  std::int64_t s) {
  const std::int64_t keys = weights.dim(3);
  double sum = 0;
  for (std::int64_t t = 0; t < keys; ++t) {
    if (!input.is_there(t)) {
      sum += weights.data<double>()[(h * weights.dim(2) + s) * keys + t];
    }
  }
  return sum;
}

std::string list_of(const std::vector<std::string>& words, const char* between) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : between) + word;
  return all;
}

}  // namespace

bool ExplainedInput::is_there(std::int64_t position_of) const {
  return !exists.defined() || exists.bits().data<bool>()[position_of];
}

std::int64_t ExplainedInput::existing() const {
  return exists.defined() ? exists.kept() : length();
}

bool ExplainedInput::is_within(const ops::SeenAttention& seen) const {
  return seen.weights.dim(2) == length() && seen.weights.dim(3) == length();
}

std::int64_t ExplainedInput::most_positions() const {
  std::int64_t most = 0;
  for (const ops::SeenAttention& seen : attention) {
    most = std::max({most, seen.weights.dim(2), seen.weights.dim(3)});
  }
  return most;
}

std::string MaskInUse::users(std::size_t all_layers) const {
  if (layers.size() == all_layers && all_layers > 1) return "all layers";
  const std::string first = layers.front().empty() ? "attention" : layers.front();
  return layers.size() == 1 ? first : fmt::format("{} and {} more", first, layers.size() - 1);
}

std::vector<MaskInUse> masks_in_use(const ExplainedInput& input) {
  std::vector<MaskInUse> masks;
  for (const ops::SeenAttention& seen : input.attention) {
    const auto same = std::ranges::find(masks, seen.pairs, &MaskInUse::pairs);
    if (same == masks.end()) {
      masks.push_back({seen.pairs, {seen.layer}, seen.weights.dim(1)});
    } else {
      same->layers.push_back(seen.layer);
    }
  }
  return masks;
}

std::string mask_in_words(std::string_view recipe) {
  std::vector<std::string> words;
  while (!recipe.empty()) {
    const std::size_t end = std::min(recipe.find(" & "), recipe.size());
    words.push_back(words_of_one(recipe.substr(0, end)));
    if (words.back().empty()) return "";
    recipe.remove_prefix(std::min(end + 3, recipe.size()));
  }
  return list_of(words, "; ");
}

double weight_at_padding(const ExplainedInput& input, const ops::SeenAttention& seen) {
  if (!input.exists.defined() || !input.is_within(seen)) return 0;
  const Tensor weights = seen.weights.to(DType::kFloat64);
  const std::int64_t heads = weights.dim(1);
  double sum = 0;
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t s = 0; s < input.length(); ++s) {
      if (input.is_there(s)) sum += at_padding(input, weights, h, s);
    }
  }
  return sum / static_cast<double>(std::max<std::int64_t>(1, heads * input.existing()));
}

AttentionWork work_of(const ops::SeenAttention& seen) {
  const std::int64_t each = seen.multiply_adds_of_pair();
  const auto all = static_cast<double>(std::max<std::int64_t>(1, seen.all_pairs()));
  return {seen.computed_pairs * each, (seen.all_pairs() - seen.computed_pairs) * each,
          static_cast<double>(seen.kept_pairs()) / all};
}

std::vector<std::string> work_cells(const ops::SeenAttention& seen) {
  const AttentionWork work = work_of(seen);
  return {with_commas(seen.kept_pairs()), with_commas(seen.all_pairs()),
          percent_text(work.kept_share),  with_commas(seen.computed_pairs),
          with_commas(work.done),         with_commas(work.saved)};
}

std::string about_tokens(const ExplainedInput& input) {
  const std::int64_t padding = input.length() - input.existing();
  std::string text = count_of(input.length(), "position");
  if (input.dropped > 0) {
    text += fmt::format(
        ": the learned mask keeps {} and drops {}{}.", input.existing(), input.dropped,
        padding > input.dropped ? fmt::format(", and {} are padding", padding - input.dropped)
                                : "");
  } else if (padding == 0) {
    text += ", all of which exist.";
  } else {
    text += fmt::format(": {} exist, {} are padding.", input.existing(), padding);
  }
  if (input.dropped == 0 && input.given < input.existing()) {
    text += fmt::format(" {} were given; the model wrote the {} behind them.", input.given,
                        input.existing() - input.given);
  }
  if (input.unread > 0) {
    text += fmt::format(" The model reads no more: it leaves out the {} before them.",
                        count_of(input.unread, "token"));
  }
  return text;
}

std::string about_mask(const MaskInUse& mask) {
  const std::string recipe(mask.pairs.recipe()), words = mask_in_words(recipe);
  const MaskExplanation numbers = explain(mask.pairs);
  const bool is_shared = mask.heads > 1 && mask.pairs.shape()[1] == 1;
  return fmt::format("{}{}{}. Keeps {} of {} pairs ({}){}.", recipe, words.empty() ? "" : ": ",
                     words, with_commas(numbers.pairs_kept), with_commas(numbers.pairs),
                     percent_text(numbers.share()), is_shared ? " in each head" : "");
}

std::vector<std::string> about_work(const ExplainedInput& input) {
  std::vector<std::string> sentences = {
      "The table counts all heads of a layer, and attention alone. Attention computes pairs in "
      "blocks, so it may compute more than the mask keeps."};
  if (input.existing() < input.length()) {
    sentences.push_back(
        fmt::format("The other layers compute {} positions, of which {} exist: one input is not "
                    "packed.",
                    input.length(), input.existing()));
  }
  return sentences;
}

std::string about_bias(const ops::SeenAttention& seen) {
  if (!seen.bias_effect) return "";
  if (*seen.bias_effect == 0) return "A bias is added to the scores. It changes no weight at all.";
  if (*seen.bias_effect < kNoEffect) {
    return fmt::format(
        "A bias is added to the scores. It changes no weight by more than {:.0e}: it hides "
        "nothing.",
        *seen.bias_effect);
  }
  return fmt::format("A bias is added to the scores. It changes a weight by {:.2g} at the most.",
                     *seen.bias_effect);
}

std::string about_padding(const ExplainedInput& input) {
  if (input.existing() == input.length()) return "";
  std::int64_t layers = 0;
  double most = 0;
  for (const ops::SeenAttention& seen : input.attention) {
    if (!input.is_within(seen)) continue;
    ++layers;
    const double weight = weight_at_padding(input, seen);
    if (!(weight <= most)) most = weight;  // NaN, too
  }
  if (layers == 0) return "";
  const char* const whatever = input.dropped > 0 ? "What is dropped" : "Padding";
  if (most == 0) return fmt::format("{} gets no weight.", whatever);
  return fmt::format("{} gets {} of the weight of the positions that exist{}.", whatever,
                     percent_text(most), layers > 1 ? ", in the layer where it gets most" : "");
}

}  // namespace maskgrad
