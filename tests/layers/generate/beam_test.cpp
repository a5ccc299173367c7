#include <cmath>
#include <map>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/generate/beam.hpp>
#include <maskgrad/layers/generate/generate.hpp>
#include <maskgrad/layers/sequential.hpp>

#include "layers/generate/language_model.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::as_function;
using test::error_of;
using test::kInf;
using test::SmallLanguageModel;
using test::some_prompts;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A model of V tokens whose logits are random numbers of all that was read.
struct RandomModel {
  std::int64_t vocabulary;
  std::uint64_t seed;

  std::vector<double> logits(std::span<const std::int64_t> read) const {
    std::uint32_t hash = 1;
    for (const std::int64_t token : read) hash = hash * 31 + static_cast<std::uint32_t>(token) + 1;
    Random random(seed, hash);
    std::vector<double> x(static_cast<std::size_t>(vocabulary));
    for (double& value : x) value = random.uniform(-2, 2);
    return x;
  }

  Variable operator()(const Variable& tokens, Pass&) const {
    const std::int64_t batch = tokens.dim(0), length = tokens.dim(1);
    Tensor y = Tensor::empty({batch, length, vocabulary}, DType::kFloat64);
    const auto all = tokens.value().values<std::int64_t>();
    for (std::int64_t i = 0; i < batch * length; ++i) {
      const auto first = static_cast<std::size_t>(i / length * length);
      const auto count = static_cast<std::size_t>(i % length + 1);
      const std::vector<double> x = logits(all.subspan(first, count));
      std::copy(x.begin(), x.end(), y.data<double>() + i * vocabulary);
    }
    return Variable(y);
  }

  // ln p(token | read), the plain way.
  double log_probability(const Tokens& read, std::int64_t token) const {
    const std::vector<double> x = logits(read);
    double sum = 0;
    for (const double value : x) sum += std::exp(value);
    return std::log(std::exp(x[static_cast<std::size_t>(token)]) / sum);
  }
};

// Every sequence behind a prompt that ends with a stop token or has all tokens.
void add_all(const RandomModel& model, const BeamOptions& options, const Tokens& prompt,
             const Hypothesis& beginning, std::vector<Hypothesis>& found) {
  const auto& tokens = beginning.tokens;
  const bool is_over = !tokens.empty() && std::find(options.stop.begin(), options.stop.end(),
                                                    tokens.back()) != options.stop.end();
  if (is_over || std::ssize(tokens) == options.tokens) {
    const auto n = static_cast<double>(tokens.size());
    found.push_back(beginning);
    found.back().score = beginning.log_probability * std::pow(6 / (5 + n), options.length_penalty);
    return;
  }
  Tokens read = prompt;
  read.insert(read.end(), tokens.begin(), tokens.end());
  for (std::int64_t token = 0; token < model.vocabulary; ++token) {
    Hypothesis longer = beginning;
    longer.tokens.push_back(token);
    longer.log_probability += model.log_probability(read, token);
    add_all(model, options, prompt, longer, found);
  }
}

std::vector<Hypothesis> all_sequences(const RandomModel& model, const Tokens& prompt,
                                      const BeamOptions& options) {
  std::vector<Hypothesis> all;
  add_all(model, options, prompt, {{}, 0, 0}, all);
  std::sort(all.begin(), all.end(),
            [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
  return all;
}

void expect_same(const std::vector<Hypothesis>& found, const std::vector<Hypothesis>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].tokens, expected[i].tokens) << "hypothesis " << i;
    EXPECT_NEAR(found[i].log_probability, expected[i].log_probability, 1e-13);
    EXPECT_NEAR(found[i].score, expected[i].score, 1e-13);
  }
}

std::vector<Hypothesis> search(const LanguageModel& model, const Tokens& prompt,
                               const BeamOptions& options) {
  return beam_search(model, std::span(&prompt, 1), options)[0];
}

TEST(BeamSearch, FindsAllSequencesInOrderWhereNoBeamIsLeftOut) {
  const Tokens stops[] = {{}, {2}, {0, 2}};
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    for (const Tokens& stop : stops) {
      for (const double penalty : {0.0, 0.6, 1.0, 3.0}) {
        const RandomModel model = {seed % 2 == 0 ? 3 : 4, seed};
        BeamOptions options = {.tokens = 4, .stop = stop, .length_penalty = penalty};
        options.beams = 4 * 4 * 4 * 4;
        expect_same(search(model, {1, 0}, options), all_sequences(model, {1, 0}, options));
      }
    }
  }
}

// The most probable beginnings of each length that the last length's allow, among all sequences.
std::vector<Hypothesis> level_by_level(const RandomModel& model, const Tokens& prompt,
                                       const BeamOptions& options) {
  std::vector<Tokens> kept = {{}};
  std::vector<Hypothesis> ended;
  for (std::int64_t n = 1; n <= options.tokens; ++n) {
    BeamOptions of_length = options;
    of_length.tokens = n;
    std::vector<Hypothesis> longer;
    for (const Hypothesis& one : all_sequences(model, prompt, of_length)) {
      const Tokens beginning(one.tokens.begin(), one.tokens.end() - 1);
      const bool is_kept = std::find(kept.begin(), kept.end(), beginning) != kept.end();
      if (std::ssize(one.tokens) == n && is_kept) longer.push_back(one);
    }
    std::sort(longer.begin(), longer.end(), [](const Hypothesis& a, const Hypothesis& b) {
      return a.log_probability > b.log_probability;
    });
    const std::size_t room = static_cast<std::size_t>(options.beams) - ended.size();
    if (longer.size() > room) longer.resize(room);
    kept.clear();
    for (const Hypothesis& one : longer) {
      const bool stops = std::find(options.stop.begin(), options.stop.end(), one.tokens.back()) !=
                         options.stop.end();
      if (stops || n == options.tokens) {
        ended.push_back(one);
      } else {
        kept.push_back(one.tokens);
      }
    }
  }
  std::sort(ended.begin(), ended.end(),
            [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
  return ended;
}

TEST(BeamSearch, KeepsTheMostProbableBeginningsOfEachLength) {
  for (std::uint64_t seed = 10; seed < 30; ++seed) {
    const RandomModel model = {4, seed};
    const BeamOptions options = {.beams = 1 + static_cast<std::int64_t>(seed % 7),
                                 .tokens = 5,
                                 .stop = {static_cast<std::int64_t>(seed % 4)},
                                 .length_penalty = 0.8};
    expect_same(search(model, {3}, options), level_by_level(model, {3}, options));
  }
}

TEST(BeamSearch, WithOneBeamIsGreedy) {
  SmallLanguageModel model;
  const std::vector<Tokens> prompts = some_prompts();
  for (const Tokens& stop : {Tokens{}, Tokens{1, 4, 7, 9}}) {
    const auto greedy = generate(as_function(model), prompts, {.tokens = 15, .stop = stop});
    const auto found = beam_search(as_function(model), prompts,
                                   {.beams = 1, .tokens = 15, .stop = stop, .length_penalty = 2});
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      ASSERT_EQ(found[i].size(), 1u);
      EXPECT_EQ(found[i][0].tokens, greedy[i]);
    }
  }
}

// Tokens and every bit of the numbers.
void expect_identical(const std::vector<Hypothesis>& a, const std::vector<Hypothesis>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].tokens, b[i].tokens);
    EXPECT_EQ(a[i].log_probability, b[i].log_probability);
    EXPECT_EQ(a[i].score, b[i].score);
  }
}

void expect_the_same_bits_in_any_batch(const LanguageModel& model) {
  const std::vector<Tokens> prompts = some_prompts();
  BeamOptions options = {.beams = 5, .tokens = 12, .stop = {4, 7}, .length_penalty = 0.6};
  const auto together = beam_search(model, prompts, options);
  for (const auto& hypotheses : together) EXPECT_EQ(hypotheses.size(), 5u);
  const auto expect_the_same = [&](const std::vector<std::vector<Hypothesis>>& other) {
    for (std::size_t i = 0; i < prompts.size(); ++i) expect_identical(other[i], together[i]);
  };
  options.cache = false;
  expect_the_same(beam_search(model, prompts, options));
  for (const bool cache : {false, true}) {
    options.cache = cache;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      expect_identical(search(model, prompts[i], options), together[i]);
    }
  }
  const test::WithThreads threads(3);
  expect_the_same(beam_search(model, prompts, options));
}

TEST(BeamSearch, GivesAPromptTheSameBitsAloneAndAmongOthersWithACacheAndWithout) {
  SmallLanguageModel model;
  expect_the_same_bits_in_any_batch(as_function(model));
}

TEST(BeamSearch, GivesTheSameBitsWhereAModelPacksItsBatches) {
  using Small = SmallLanguageModel;
  Sequential layers;
  layers.add<Embed>("embed", Small::kVocabulary, Small::kFeatures)
      .add<LearnedPositions>("positions", Small::kMostPositions, Small::kFeatures)
      .add<Decoder>("decoder", Small::usual())
      .add<Dense>("logits", Small::kFeatures, Small::kVocabulary)
      .pack(PackWhen::kAlways);
  const ParameterBuffer parameters(layers, DType::kFloat32, 1);
  expect_the_same_bits_in_any_batch(
      [&](const Variable& tokens, Pass& pass) { return layers(tokens, pass); });
}

// A model whose logits are the same everywhere.
LanguageModel constant_model(std::vector<double> logits) {
  return [logits](const Variable& tokens, Pass&) {
    const auto vocabulary = static_cast<std::int64_t>(logits.size());
    std::vector<double> all;
    for (std::int64_t i = 0; i < tokens.shape().numel(); ++i) {
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return Variable(test::make(all, tokens.shape().concat({vocabulary})));
  };
}

std::vector<Tokens> tokens_of(const std::vector<Hypothesis>& hypotheses) {
  std::vector<Tokens> tokens;
  for (const Hypothesis& one : hypotheses) tokens.push_back(one.tokens);
  return tokens;
}

TEST(BeamSearch, PutsTheBetterBeginningAndThenTheSmallerTokenFirstWhereAllAreEqual) {
  const LanguageModel model = constant_model({3, 3, 3});
  EXPECT_THAT(tokens_of(search(model, {0}, {.beams = 4, .tokens = 2})),
              ElementsAre(Tokens{0, 0}, Tokens{0, 1}, Tokens{0, 2}, Tokens{1, 0}));
  // Of equal scores the one that ended first: with no token left but the stop, all have ln 1 = 0.
  EXPECT_THAT(tokens_of(search(constant_model({-kInf, 0}), {0}, {.tokens = 3, .stop = {1}})),
              ElementsAre(Tokens{1}));
}

TEST(BeamSearch, ScoresAsWuAndOthersDo) {
  const LanguageModel model = constant_model({std::log(0.5), std::log(0.3), std::log(0.2)});
  const auto found =
      search(model, {0}, {.beams = 3, .tokens = 2, .stop = {2}, .length_penalty = 1});
  // Beginnings 0, 1 and the ended 2; then 00 and 01, which is as probable as 10.
  ASSERT_THAT(tokens_of(found), ElementsAre(Tokens{0, 0}, Tokens{2}, Tokens{0, 1}));
  EXPECT_NEAR(found[0].score, std::log(0.25) * 6 / 7, 1e-15);
  EXPECT_NEAR(found[1].score, std::log(0.2), 1e-15);
  EXPECT_NEAR(found[2].score, std::log(0.15) * 6 / 7, 1e-15);
}

TEST(BeamSearch, NeverTakesATokenOfMinusInfinityAndThenFindsFewer) {
  const auto found = search(constant_model({-kInf, 0, -kInf}), {0}, {.beams = 5, .tokens = 3});
  EXPECT_THAT(tokens_of(found), ElementsAre(Tokens{1, 1, 1}));
  EXPECT_EQ(found[0].score, 0.0);
}

TEST(BeamSearch, MakesNothingOfNothing) {
  const LanguageModel model = constant_model({0, 0});
  EXPECT_THAT(beam_search(model, {}), IsEmpty());
  const auto found = search(model, {0}, {.tokens = 0, .length_penalty = 1});
  EXPECT_THAT(tokens_of(found), ElementsAre(Tokens{}));
  EXPECT_EQ(found[0].score, 0.0);
}

TEST(BeamSearch, RefusesWhatItCannotSearch) {
  const LanguageModel model = constant_model({0, 0});
  const auto error = [&](const BeamOptions& options, const Tokens& prompt = {1}) {
    return error_of([&] { search(model, prompt, options); });
  };
  EXPECT_EQ(error({.beams = 0}), "[beam_search] beams must be at least 1, got 0");
  EXPECT_EQ(error({.tokens = -1}), "[beam_search] tokens must be at least 0, got -1");
  EXPECT_EQ(error({.length_penalty = -1}),
            "[beam_search] length_penalty must be finite and at least 0, got -1");
  EXPECT_EQ(error({.length_penalty = kInf}),
            "[beam_search] length_penalty must be finite and at least 0, got inf");
  EXPECT_EQ(error({}, {}), "[beam_search] prompt 0 is empty");
  EXPECT_EQ(error_of([] {
              search(constant_model({-kInf, -kInf}), {0}, {});
            }),
            "[sample] all logits are -inf");
  EXPECT_EQ(error_of([] {
              search([](const Variable&, Pass&) { return Variable(test::make({1}, {1})); }, {0},
                     {});
            }),
            "[beam_search] the model gives logits (1,) for tokens (1, 1)");
}

}  // namespace
}  // namespace maskgrad
