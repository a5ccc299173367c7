#include <algorithm>
#include <cmath>

#include <maskgrad/train/data/token_masking.hpp>

namespace maskgrad {
namespace {

constexpr int kSampleBits = 40;  // of a step; the epoch has the other 24
constexpr std::int64_t kSamples = std::int64_t{1} << kSampleBits;
constexpr std::int64_t kEpochs = std::int64_t{1} << (64 - kSampleBits);
constexpr std::int64_t kLargestVocabulary = 0x7fffffff;  // so that every id fits int32
constexpr std::size_t kLongestSample = 0x7fffffff;

// Only comparisons and integers decide what is drawn: what a machine rounds otherwise, or fuses,
// must not change a mask.

void check_share(const char* name, const char* what, double share) {
  check(share >= 0 && share <= 1, name, "{} must be 0 to 1, not {}", what, share);
}

bool is_spared(const TokenMaskingOptions& options, std::int64_t token) {
  return std::binary_search(options.special.begin(), options.special.end(), token);
}

// The ids of the vocabulary that can be given as random tokens.
std::int64_t count_drawable(const TokenMaskingOptions& options) {
  return options.vocabulary -
         std::count_if(options.special.begin(), options.special.end(),
                       [&](std::int64_t id) { return id >= 0 && id < options.vocabulary; });
}

// Checks the options and makes `special` the sorted list of all that is spared.
TokenMaskingOptions prepare(const char* name, TokenMaskingOptions options) {
  check_share(name, "share", options.share);
  check_share(name, "to_mask_token", options.to_mask_token);
  check_share(name, "to_random_token", options.to_random_token);
  check(options.to_mask_token + options.to_random_token <= 1, name,
        "to_mask_token and to_random_token must add up to at most 1: {} and {}",
        options.to_mask_token, options.to_random_token);
  check(options.vocabulary >= 1 && options.vocabulary <= kLargestVocabulary, name,
        "vocabulary must be 1 to {}, not {}", kLargestVocabulary, options.vocabulary);
  check(options.mask_token >= 0 && options.mask_token < options.vocabulary, name,
        "mask token {} is outside the vocabulary of {}", options.mask_token, options.vocabulary);
  check(options.mask_token != options.pad, name, "mask token and padding must differ: both are {}",
        options.pad);
  std::vector<std::int64_t>& spared = options.special;
  spared.push_back(options.pad);
  spared.push_back(options.mask_token);
  std::sort(spared.begin(), spared.end());
  spared.erase(std::unique(spared.begin(), spared.end()), spared.end());
  check(options.to_random_token == 0 || count_drawable(options) > 0, name,
        "no random tokens to draw: all {} ids of the vocabulary are spared", options.vocabulary);
  return options;
}

std::int64_t draw_token(const TokenMaskingOptions& options, Random& random) {
  const auto drawable = static_cast<std::uint32_t>(count_drawable(options));
  std::int64_t token = random.below(drawable);
  for (const std::int64_t spared : options.special) {
    if (spared >= 0 && spared <= token) ++token;  // the sorted list makes this the token-th other
  }
  return token;
}

enum class Fate : std::uint8_t { kMaskToken, kRandomToken, kStays };

Fate draw_fate(const TokenMaskingOptions& options, Random& random) {
  const double u = random.uniform();
  if (u < options.to_mask_token) return Fate::kMaskToken;
  return u < options.to_mask_token + options.to_random_token ? Fate::kRandomToken : Fate::kStays;
}

// One sample, on its way to what the model sees.
template <class T>
struct Sample {
  std::span<T> tokens;
  bool* chosen;

  void choose(std::size_t place, Fate fate, const TokenMaskingOptions& options, Random& random) {
    chosen[place] = true;
    if (fate == Fate::kMaskToken) tokens[place] = static_cast<T>(options.mask_token);
    if (fate == Fate::kRandomToken) tokens[place] = static_cast<T>(draw_token(options, random));
  }
};

std::uint64_t step_of(const char* name, std::int64_t epoch, std::int64_t sample_id) {
  check(sample_id >= 0 && sample_id < kSamples, name, "sample ids must be 0 to {}, not {}",
        kSamples - 1, sample_id);
  return static_cast<std::uint64_t>(epoch) << kSampleBits | static_cast<std::uint64_t>(sample_id);
}

// Calls choose(Sample<T>, Random&) for each sample of the batch.
template <class Choose>
MaskedTokens mask_samples(const char* name, std::uint64_t seed, const Tensor& tokens,
                          std::span<const std::int64_t> sample_ids, std::int64_t epoch,
                          Choose&& choose) {
  check_given(tokens.defined(), name, "the tokens");
  check(tokens.rank() == 2, name, "needs tokens [B, S], got {}", tokens.shape());
  const auto ids = static_cast<std::int64_t>(sample_ids.size());
  check(ids == tokens.dim(0), name, "needs a sample id for each sample: {} for {}", ids,
        tokens.shape());
  check(epoch >= 0 && epoch < kEpochs, name, "epoch must be 0 to {}, not {}", kEpochs - 1, epoch);
  Tensor seen = tokens.clone();
  Tensor chosen = Tensor::zeros(tokens.shape(), DType::kBool, tokens.device());
  const auto length = static_cast<std::size_t>(tokens.dim(1));
  const auto mask_all = [&]<class T>(T) {
    for (std::size_t b = 0; b < sample_ids.size(); ++b) {
      Random random(seed, stream_of(name), step_of(name, epoch, sample_ids[b]));
      choose(Sample<T>{{seen.data<T>() + b * length, length}, chosen.data<bool>() + b * length},
             random);
    }
  };
  dispatch_device(tokens.device(), name,
                  [&] { dispatch_dtype(IntegerTypes{}, tokens.dtype(), name, mask_all); });
  return {std::move(seen), tokens, SequenceMask(std::move(chosen))};
}

template <class T>
void choose_tokens(Sample<T> sample, const TokenMaskingOptions& options, Random& random) {
  for (std::size_t s = 0; s < sample.tokens.size(); ++s) {
    if (is_spared(options, sample.tokens[s]) || random.uniform() >= options.share) continue;
    sample.choose(s, draw_fate(options, random), options, random);
  }
}

// A geometric number modulo `max` has the wanted probabilities: going round once more multiplies
// each of them by the same (1 - p)^max.
std::int64_t draw_length(const SpanLengths& lengths, Random& random) {
  std::int64_t length = 1;
  while (random.uniform() >= lengths.p) length = length == lengths.max ? 1 : length + 1;
  return length;
}

// share * count, its fraction in units of 2^-32, rounded up as often as that fraction says.
std::size_t draw_budget(double share, std::size_t count, Random& random) {
  check(count <= kLongestSample, "span_mask", "a sample of {} tokens is too long", count);
  const auto scaled = static_cast<std::uint64_t>(std::llround(share * 0x1.0p32)) * count;
  const auto fraction = static_cast<std::uint32_t>(scaled);
  return static_cast<std::size_t>(scaled >> 32) + (random.bits32() < fraction ? 1 : 0);
}

template <class T>
void choose_spans(Sample<T> sample, const TokenMaskingOptions& options, const SpanLengths& lengths,
                  Random& random) {
  std::vector<std::size_t> places;  // that are not spared
  for (std::size_t s = 0; s < sample.tokens.size(); ++s) {
    if (!is_spared(options, sample.tokens[s])) places.push_back(s);
  }
  std::size_t budget = draw_budget(options.share, places.size(), random);
  while (budget > 0) {
    std::size_t i = random.below(places.size());
    if (sample.chosen[places[i]]) continue;
    std::int64_t left = draw_length(lengths, random);
    const Fate fate = draw_fate(options, random);
    for (std::size_t s = places[i]; left > 0 && budget > 0; ++s, ++i, --left, --budget) {
      if (i == places.size() || places[i] != s || sample.chosen[s]) break;
      sample.choose(s, fate, options, random);
    }
  }
}

}  // namespace

RandomMask::RandomMask(TokenMaskingOptions options)
    : options_(prepare("random_mask", std::move(options))) {}

RandomMask RandomMask::bert(std::int64_t mask_token, std::int64_t vocabulary,
                            std::vector<std::int64_t> special, std::uint64_t seed) {
  return RandomMask({.mask_token = mask_token,
                     .vocabulary = vocabulary,
                     .special = std::move(special),
                     .seed = seed});
}

MaskedTokens RandomMask::operator()(const Tensor& tokens, std::span<const std::int64_t> sample_ids,
                                    std::int64_t epoch) const {
  return mask_samples(
      "random_mask", options_.seed, tokens, sample_ids, epoch,
      [this](auto sample, Random& random) { choose_tokens(sample, options_, random); });
}

SpanMask::SpanMask(TokenMaskingOptions options, SpanLengths lengths)
    : options_(prepare("span_mask", std::move(options))), lengths_(lengths) {
  check(lengths.p >= 0.001 && lengths.p <= 1, "span_mask", "p must be 0.001 to 1, not {}",
        lengths.p);
  check(lengths.max >= 1, "span_mask", "max must be at least 1, not {}", lengths.max);
}

MaskedTokens SpanMask::operator()(const Tensor& tokens, std::span<const std::int64_t> sample_ids,
                                  std::int64_t epoch) const {
  return mask_samples(
      "span_mask", options_.seed, tokens, sample_ids, epoch,
      [this](auto sample, Random& random) { choose_spans(sample, options_, lengths_, random); });
}

}  // namespace maskgrad
