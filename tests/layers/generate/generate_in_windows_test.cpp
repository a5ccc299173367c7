#include <gmock/gmock.h>

#include <maskgrad/layers/generate/generate_in_windows.hpp>

#include "layers/generate/language_model.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::as_function;
using test::SmallLanguageModel;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Tokens some_prompt(std::size_t length) {
  Random random(length);
  Tokens prompt(length);
  for (std::int64_t& token : prompt) token = random.integer(0, SmallLanguageModel::kVocabulary - 1);
  return prompt;
}

// Each token from what the model may read of those before it, as the header says.
Tokens one_by_one(const LanguageModel& model, Tokens all, std::size_t window, std::int64_t count) {
  const auto kept = static_cast<std::ptrdiff_t>(std::max<std::size_t>(window / 2, 1));
  Tokens made;
  while (std::ssize(made) < count) {
    if (all.size() > window) all.erase(all.begin(), all.end() - kept);
    made.push_back(generate(model, {&all, 1}, {.tokens = 1, .cache = false}).front().front());
    all.push_back(made.back());
  }
  return made;
}

TEST(GenerateInWindows, ReadsTheLastHalfOfAWindowWhenItIsFull) {
  SmallLanguageModel model;
  for (const std::size_t window : {1u, 2u, 3u, 8u, 15u}) {
    for (const std::size_t length : {1u, 2u, 7u, 8u, 9u, 40u}) {
      const Tokens prompt = some_prompt(length),
                   want = one_by_one(as_function(model), prompt, window, 25);
      const auto size = static_cast<std::int64_t>(window);
      EXPECT_THAT(generate_in_windows(as_function(model), prompt, size, {.tokens = 25}),
                  ElementsAreArray(want))
          << "window " << window << ", prompt " << length;
    }
  }
}

TEST(GenerateInWindows, NeverGivesTheModelMoreThanAWindow) {
  SmallLanguageModel model;
  std::int64_t longest = 0;
  const LanguageModel watched = [&](const Variable& tokens, Pass& pass) {
    longest = std::max(longest, pass.positions(tokens).values<std::int64_t>().back() + 1);
    return model(tokens, pass);
  };
  generate_in_windows(watched, some_prompt(3), 10, {.tokens = 60});
  EXPECT_EQ(longest, 10);
}

TEST(GenerateInWindows, GivesTheTokensOfGenerateUpToTheEndOfTheFirstWindow) {
  SmallLanguageModel model;
  GenerateOptions options = {
      .tokens = 16, .sample = {.temperature = 3}, .seed = 5, .first_sample = 3};
  const Tokens prompt = some_prompt(5);
  const Tokens want = generate(as_function(model), {&prompt, 1}, options).front();
  EXPECT_EQ(generate_in_windows(as_function(model), prompt, 20, options), want);
  EXPECT_EQ(generate_in_windows(as_function(model), prompt, 1000, options), want);
  options.tokens = 100;
  const Tokens longer = generate_in_windows(as_function(model), prompt, 20, options);
  EXPECT_EQ(Tokens(longer.begin(), longer.begin() + 16), want);
  options.cache = false;
  EXPECT_EQ(generate_in_windows(as_function(model), prompt, 20, options), longer);
}

// A model that says nothing: what is drawn shows the random numbers.
TEST(GenerateInWindows, DrawsOtherNumbersInEachWindow) {
  constexpr std::int64_t kMany = 1000;
  const LanguageModel even = [](const Variable& tokens, Pass&) {
    return Variable(Tensor::zeros({tokens.dim(0), tokens.dim(1), kMany}, DType::kFloat32));
  };
  const auto drawn = [&](GenerateOptions options) {
    options.tokens = 90;
    options.sample.temperature = 1;
    options.cache = false;
    return generate_in_windows(even, {0}, 10, options);
  };
  const Tokens made = drawn({.seed = 1});
  EXPECT_THAT(std::set<std::int64_t>(made.begin(), made.end()), SizeIs(::testing::Ge(75U)));
  EXPECT_EQ(drawn({.seed = 1}), made);
  EXPECT_NE(drawn({.seed = 2}), made);
  EXPECT_NE(drawn({.seed = 1, .first_sample = 1}), made);
}

TEST(GenerateInWindows, EndsAtAStopTokenInAnyWindowAndWhenItIsTold) {
  SmallLanguageModel model;
  const LanguageModel function = as_function(model);
  const Tokens prompt = some_prompt(4);
  GenerateOptions options = {.tokens = 40, .sample = {.temperature = 3}, .seed = 7};
  const Tokens all = generate_in_windows(function, prompt, 6, options);
  ASSERT_EQ(all.size(), 40u);
  for (const std::size_t at : {0u, 1u, 2u, 3u, 17u, 39u}) {
    GenerateOptions stopped = options;
    stopped.stop = {all[at]};
    const auto first = std::find(all.begin(), all.end(), all[at]);
    EXPECT_THAT(generate_in_windows(function, prompt, 6, stopped),
                ElementsAreArray(all.begin(), first + 1));
    stopped.stop = {};
    stopped.stop_when = [&](std::span<const std::int64_t> made) { return made.size() == at + 1; };
    EXPECT_THAT(generate_in_windows(function, prompt, 6, stopped),
                ElementsAreArray(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(at) + 1));
    Tokens heard;
    stopped.stop_when = {};
    stopped.on_token = [&](std::size_t i, std::int64_t token) {
      EXPECT_EQ(i, 0u);
      heard.push_back(token);
      return heard.size() <= at;
    };
    EXPECT_EQ(generate_in_windows(function, prompt, 6, stopped), heard);
    EXPECT_EQ(heard.size(), at + 1);
  }
}

TEST(GenerateInWindows, RefusesWhatGenerateRefusesAndAWindowOfNothing) {
  SmallLanguageModel model;
  const auto error = [&](const Tokens& prompt, std::int64_t window,
                         const GenerateOptions& options) {
    return error_of([&] { generate_in_windows(as_function(model), prompt, window, options); });
  };
  EXPECT_EQ(error({1}, 0, {}), "[generate] the window must be at least 1, not 0");
  EXPECT_EQ(error({}, 5, {}), "[generate] prompt 0 is empty");
  EXPECT_THAT(error({1}, 5, {.tokens = -1}), HasSubstr("tokens must be at least 0, got -1"));
  EXPECT_THAT(error({1}, 5, {.sample = {.top_p = 0}}), HasSubstr("top_p"));
  EXPECT_THAT(generate_in_windows(as_function(model), {1}, 5, {.tokens = 0}), IsEmpty());
}

}  // namespace
}  // namespace maskgrad
