#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/layers/generate/generate.hpp>

#include "layers/generate/language_model.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::as_function;
using test::error_of;
using test::SmallLanguageModel;
using test::some_prompts;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The token with the largest logit behind a sequence.
std::int64_t most_probable(SmallLanguageModel& model, const Tokens& tokens) {
  Pass pass;
  const auto length = static_cast<std::int64_t>(tokens.size());
  const Tensor logits =
      model(Variable(Tensor::from<std::int64_t>(tokens, {1, length})), pass).value();
  const auto last = logits.values<float>().last(SmallLanguageModel::kVocabulary);
  return std::max_element(last.begin(), last.end()) - last.begin();
}

TEST(Generate, TakesTheMostProbableTokenAgainAndAgain) {
  SmallLanguageModel model;
  const std::vector<Tokens> prompts = some_prompts();
  const std::vector<Tokens> made = generate(as_function(model), prompts, {.tokens = 12});
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    Tokens all = prompts[i];
    ASSERT_EQ(made[i].size(), 12u);
    for (const std::int64_t token : made[i]) {
      EXPECT_EQ(token, most_probable(model, all));
      all.push_back(token);
    }
  }
}

TEST(Generate, GivesAPromptTheSameTokensAloneAndAmongOthersWithACacheAndWithout) {
  SmallLanguageModel model;
  const std::vector<Tokens> prompts = some_prompts();
  GenerateOptions options = {.tokens = 20, .sample = {.temperature = 3}, .seed = 5};
  const std::vector<Tokens> together = generate(as_function(model), prompts, options);
  options.cache = false;
  EXPECT_EQ(generate(as_function(model), prompts, options), together);
  options.cache = true;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    options.first_sample = static_cast<std::uint32_t>(i);
    EXPECT_THAT(generate(as_function(model), std::span(&prompts[i], 1), options),
                ElementsAre(together[i]));
  }
  options.first_sample = 0;
  const test::WithThreads threads(3);
  EXPECT_EQ(generate(as_function(model), prompts, options), together);
}

TEST(Generate, DrawsOtherTokensForAnotherSeedAndForEachPrompt) {
  SmallLanguageModel model;
  const std::vector<Tokens> prompts(3, Tokens{1, 2, 3});
  const GenerateOptions options = {.tokens = 20, .sample = {.temperature = 3}, .seed = 5};
  const std::vector<Tokens> made = generate(as_function(model), prompts, options);
  EXPECT_NE(made[0], made[1]);
  EXPECT_NE(made[1], made[2]);
  GenerateOptions other = options;
  other.seed = 6;
  EXPECT_NE(generate(as_function(model), prompts, other), made);
}

TEST(Generate, EndsASequenceBehindAStopTokenAndGoesOnWithTheOthers) {
  SmallLanguageModel model;
  const std::vector<Tokens> prompts = some_prompts();
  GenerateOptions options = {.tokens = 30, .sample = {.temperature = 3}, .seed = 5};
  const std::vector<Tokens> whole = generate(as_function(model), prompts, options);
  options.stop = {4, 7};
  const std::vector<Tokens> stopped = generate(as_function(model), prompts, options);
  bool one_stopped = false;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto stop = std::find_if(whole[i].begin(), whole[i].end(),
                                   [](std::int64_t token) { return token == 4 || token == 7; });
    const auto end = stop == whole[i].end() ? stop : stop + 1;
    EXPECT_EQ(stopped[i], Tokens(whole[i].begin(), end));
    one_stopped |= end != whole[i].end();
  }
  EXPECT_TRUE(one_stopped);
}

TEST(Generate, EndsASequenceWhereItsTokensAreEnough) {
  SmallLanguageModel model;
  const std::vector<Tokens> prompts = some_prompts();
  const std::vector<Tokens> whole = generate(as_function(model), prompts, {.tokens = 9});
  // Behind the second token that is the same as the last one of the prompt's whole text, or never.
  const auto has_two_alike = [](std::span<const std::int64_t> made) {
    return std::count(made.begin(), made.end(), made.back()) == 2;
  };
  const std::vector<Tokens> ended =
      generate(as_function(model), prompts, {.tokens = 9, .stop_when = has_two_alike});
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    std::size_t length = 1;
    while (length < whole[i].size() && !has_two_alike(std::span(whole[i]).first(length))) ++length;
    EXPECT_EQ(ended[i], Tokens(whole[i].begin(), whole[i].begin() + std::ptrdiff_t(length)));
  }
}

TEST(Generate, TellsOfEachTokenAndStopsWhenNoMoreAreWanted) {
  SmallLanguageModel model;
  const std::vector<Tokens> prompts = {{1}, {2, 3}};
  std::vector<Tokens> told(2);
  int count = 0;
  GenerateOptions options = {.tokens = 10};
  options.on_token = [&](std::size_t prompt, std::int64_t token) {
    told[prompt].push_back(token);
    return ++count < 5;
  };
  const std::vector<Tokens> made = generate(as_function(model), prompts, options);
  EXPECT_EQ(made, told);
  EXPECT_EQ(made[0].size() + made[1].size(), 5u);
}

TEST(Generate, TakesMemoryForWhatItMakesAndNotForWhatItMay) {
  SmallLanguageModel model;
  const std::vector<Tokens> prompts = some_prompts();
  GenerateOptions options = {.tokens = 20};
  const LanguageModel without_positions = [&](const Variable& tokens, Pass& pass) {
    Embed& embed = model.model.embed;
    return embed.logits(model.model.decoder(embed(tokens, pass), pass));
  };
  const std::vector<Tokens> made = generate(without_positions, prompts, options);
  options.tokens = std::numeric_limits<std::int64_t>::max() / 2;
  options.on_token = [count = 20 * prompts.size()](std::size_t, std::int64_t) mutable {
    return --count > 0;
  };
  EXPECT_EQ(generate(without_positions, prompts, options), made);
}

TEST(Generate, SaysBeforeTheFirstTokenThatPositionsWillRunOut) {
  SmallLanguageModel model;
  constexpr std::int64_t kMost = SmallLanguageModel::kMostPositions, kLongest = 70;
  const std::vector<Tokens> prompts = some_prompts();
  for (const bool cache : {true, false}) {
    GenerateOptions options = {.tokens = kMost - kLongest + 1, .cache = cache};
    EXPECT_EQ(generate(as_function(model), prompts, options)[2].size(), 131u);
    ++options.tokens;
    options.on_token = [](std::size_t, std::int64_t) {
      ADD_FAILURE() << "a token was made";
      return false;
    };
    EXPECT_EQ(error_of([&] { generate(as_function(model), prompts, options); }),
              "[generate] 132 tokens behind a prompt of 70 need 201 positions; the model has 200");
  }
}

TEST(Generate, MakesNothingOfNothing) {
  SmallLanguageModel model;
  EXPECT_THAT(generate(as_function(model), {}), IsEmpty());
  const std::vector<Tokens> prompts = {{1}};
  EXPECT_THAT(generate(as_function(model), prompts, {.tokens = 0}), ElementsAre(IsEmpty()));
}

TEST(Generate, NumbersSamplesUpToTheLargestOf32Bits) {
  SmallLanguageModel model;
  const std::vector<Tokens> one = {{1}}, two = {{1}, {2}};
  const auto error = [&](const std::vector<Tokens>& prompts, std::uint32_t first) {
    return error_of(
        [&] { generate(as_function(model), prompts, {.tokens = 1, .first_sample = first}); });
  };
  EXPECT_EQ(error(one, 4294967295), "no error");
  EXPECT_EQ(error(two, 4294967294), "no error");
  EXPECT_EQ(error(two, 4294967295),
            "[generate] 2 prompts from sample 4294967295 on go beyond sample 4294967295");
}

TEST(Generate, RefusesWhatItCannotGoOnFrom) {
  SmallLanguageModel model;
  const auto error = [&](const std::vector<Tokens>& prompts, const GenerateOptions& options) {
    return error_of([&] { generate(as_function(model), prompts, options); });
  };
  EXPECT_EQ(error({{1}, {}}, {}), "[generate] prompt 1 is empty");
  EXPECT_EQ(error({{1}}, {.tokens = -1}), "[generate] tokens must be at least 0, got -1");
  EXPECT_EQ(error({{1}}, {.sample = {.temperature = -1}}),
            "[sample] temperature must be finite and at least 0, not -1");
  EXPECT_EQ(error({{11}}, {}),
            "[embedding] in layer 'embed': token 11 at element 0 of (1, 1) is outside the "
            "vocabulary of 11");
  const std::vector<Tokens> prompts = {{1}};
  EXPECT_EQ(error_of([&] {
              generate([](const Variable&, Pass&) { return Variable(test::make({1}, {1})); },
                       prompts);
            }),
            "[generate] the model gives logits (1,) for tokens (1, 1)");
}

}  // namespace
}  // namespace maskgrad
