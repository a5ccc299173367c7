#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

std::vector<ArithmeticProblem> all_problems() {
  std::vector<ArithmeticProblem> all;
  for (std::int64_t x = -9; x <= 9; ++x) {
    for (std::int64_t y = -9; y <= 9; ++y) {
      if (x == 0 || y == 0) continue;
      for (const char operation : {'+', '-', '*'}) {
        for (const bool defines_x_first : {true, false}) {
          for (const bool starts_with_x : {true, false}) {
            all.push_back({x, y, defines_x_first, starts_with_x, operation});
          }
        }
      }
    }
  }
  return all;
}

std::vector<std::int64_t> first_ids(std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

std::vector<std::string> texts_of(const ArithmeticProblem& problem) {
  const std::string text = distractor_prompt(problem);
  std::vector<std::string> needed;
  for (const NeededThing& thing : needed_things(problem)) {
    needed.emplace_back();
    for (const std::size_t i : thing.tokens) needed.back() += text[i];
  }
  return needed;
}

// Without 0 each sign, digit and operator counts. Names count where the order does.
TEST(NeededThings, AreAllButNamesOfWhatMayBeExchanged) {
  for (const ArithmeticProblem& p : all_problems()) {
    const bool order_counts = p.operation == '-' && p.x != p.y;
    const std::string text = distractor_prompt(p);
    std::set<std::size_t> expected = {2, 3, 7, 8, 11}, found;
    if (order_counts) expected.insert({0, 5, 10, 12});
    for (const NeededThing& thing : needed_things(p)) {
      found.insert(thing.tokens.begin(), thing.tokens.end());
    }
    ASSERT_EQ(found, expected) << text;
    ASSERT_EQ(needed_things(p).size(), order_counts ? 7u : 5u) << text;
  }
}

TEST(NeededThings, TakeTwoNamesForOneThing) {
  EXPECT_THAT(texts_of({-3, 4, true, false, '-'}),
              UnorderedElementsAre("-", "3", "+", "4", "-", "xy", "yx"));
  EXPECT_THAT(texts_of({-3, 4, true, false, '*'}), UnorderedElementsAre("-", "3", "+", "4", "*"));
  EXPECT_EQ(error_of([] {
              needed_things({0, 4});
            }),
            "[distractors] operands have one digit and are not 0, and 0 is no such number");
  EXPECT_EQ(error_of([] {
              needed_things({1, 10});
            }),
            "[distractors] operands have one digit and are not 0, and 10 is no such number");
}

TEST(DistractorSteps, LeadToTheAnswer) {
  for (const ArithmeticProblem& p : all_problems()) {
    const std::string steps = distractor_steps(p);
    ASSERT_EQ(steps.size(), 5u);
    const std::int64_t first = std::stoi(steps.substr(0, 2)),
                       second = std::stoi(steps.substr(2, 2));
    const std::int64_t answer = steps[4] == '*' ? first * second : first + second;
    const std::string text = answer_in_two_digits(answer);
    ASSERT_EQ(std::stoi(text), p.result()) << steps;
    ASSERT_EQ(text.size(), 3u);
  }
  EXPECT_EQ(distractor_steps({3, 4, true, false, '-'}), "-3+4+");
  EXPECT_EQ(distractor_steps({3, 4, false, false, '-'}), "+4-3+");
  EXPECT_EQ(distractor_reading({-3, 4, true, false, '-'}), "x-3+4-y");
  EXPECT_EQ(distractor_reading({-3, 4, false, true, '*'}), "y+4-3*x");
  EXPECT_EQ(answer_in_two_digits(-6), "-06");
  EXPECT_EQ(answer_in_two_digits(0), "+00");
  EXPECT_EQ(error_of([] { answer_in_two_digits(100); }),
            "[distractors] 100 has more than two digits");
}

TEST(HeldOutInOrder, IsATenthOfThePairsAndSeesOrderAndSigns) {
  int held_out = 0, alone = 0, of_one_sign = 0;
  for (std::int64_t x = -9; x <= 9; ++x) {
    for (std::int64_t y = -9; y <= 9; ++y) {
      if (x == 0 || y == 0 || !is_held_out_in_order(x, y)) continue;
      ++held_out;
      alone += !is_held_out_in_order(y, x);
      of_one_sign += !is_held_out_in_order(-x, y);
    }
  }
  EXPECT_NEAR(held_out, 32.4, 3 * 5.4);
  EXPECT_GT(alone, held_out / 2);
  EXPECT_GT(of_one_sign, held_out / 2);
}

TEST(Distractors, AskForTheAnswerOfAProblemAndPutJunkBehindIt) {
  const Distractors data({.samples = 300, .seed = 3});
  const std::vector<std::int64_t> ids = first_ids(300);
  const Batch batch = data.collate(ids);
  const std::int64_t width = batch.inputs.dim(1);
  std::set<std::size_t> junk_lengths;
  std::set<std::int64_t> leads;
  for (std::int64_t b = 0; b < 300; ++b) {
    const Distractors::Sample sample = data.sample(b);
    junk_lengths.insert(sample.junk.size());
    leads.insert(sample.lead);
    const std::string text = std::string(static_cast<std::size_t>(sample.lead), '|') +
                             distractor_prompt(sample.problem) + "|" + arithmetic_text(sample.junk);
    const std::int64_t *const token = batch.inputs.data<std::int64_t>() + b * width,
                              *const use = batch["use"].data<std::int64_t>() + b * width,
                              *const thing = batch["thing"].data<std::int64_t>() + b * width;
    const std::vector<NeededThing> needed = needed_things(sample.problem);
    for (std::int64_t i = 0; i < width; ++i) {
      const std::int64_t at = i - Distractors::kReading;  // in the text
      if (at < 0) {
        ASSERT_EQ(token[i], Distractors::kAsking);
        ASSERT_EQ(use[i], static_cast<std::int64_t>(TokenUse::kNone));
        continue;
      }
      if (at >= std::ssize(text)) {
        ASSERT_EQ(token[i], kPadToken);
        ASSERT_EQ(use[i], static_cast<std::int64_t>(TokenUse::kNone));
        continue;
      }
      const char c = text[static_cast<std::size_t>(at)];
      ASSERT_EQ(token[i], static_cast<std::int64_t>(kArithmeticVocabulary.find(c)));
      TokenUse expected = TokenUse::kSpare;
      std::int64_t number = 0;
      for (std::size_t t = 0; t < needed.size(); ++t) {
        const auto& tokens = needed[t].tokens;
        if (std::ranges::count(tokens, static_cast<std::size_t>(at - sample.lead)) == 0) continue;
        expected = TokenUse::kNeeded;
        number = static_cast<std::int64_t>(t) + 1;
      }
      if (std::string_view("=,:|").find(c) != std::string_view::npos)
        expected = TokenUse::kSeparator;
      if (at >= sample.lead + 14) expected = TokenUse::kJunk;
      ASSERT_EQ(use[i], static_cast<std::int64_t>(expected)) << text << ' ' << at;
      ASSERT_EQ(thing[i], expected == TokenUse::kNeeded ? number : 0) << text << ' ' << at;
    }
    const auto row = [&](const Tensor& x, std::int64_t n) {
      return arithmetic_text(x.values<std::int64_t>().subspan(static_cast<std::size_t>(b * n),
                                                              static_cast<std::size_t>(n)));
    };
    ASSERT_EQ(row(batch.targets, 3), answer_in_two_digits(sample.problem.result()));
    ASSERT_EQ(row(batch["reading"], 7), distractor_reading(sample.problem));
    ASSERT_EQ(row(batch["steps"], 5), distractor_steps(sample.problem));
    ASSERT_EQ(arithmetic_text(sample.junk).find_first_of(" =,:|"), std::string::npos);
  }
  EXPECT_EQ(junk_lengths.size(), 13u);
  EXPECT_THAT(leads, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(data.length(), 7 + 3 + 14 + 12);
}

TEST(Distractors, HoldPairsOutAndDrawAnewInEachEpoch) {
  for (const bool held_out : {false, true}) {
    const Distractors data({.samples = 200, .seed = 1, .held_out = held_out});
    int same = 0;
    for (std::int64_t i = 0; i < 200; ++i) {
      const ArithmeticProblem now = data.sample(i).problem, later = data.sample(i, 1).problem;
      EXPECT_EQ(is_held_out_in_order(now.x, now.y), held_out);
      same += distractor_prompt(now) == distractor_prompt(later);
    }
    EXPECT_LT(same, 20);
  }
  const std::int64_t one = 7;
  const Distractors data({.samples = 20});
  EXPECT_TRUE(test::same_bits(data.collate_in(2, {&one, 1}).inputs,
                              collate_distractors(std::array{data.sample(7, 2)}).inputs));
  EXPECT_EQ(data.collate_in(2, {&one, 1}).epoch, 2);
}

TEST(Distractors, SayWhatTheyAreMadeFrom) {
  EXPECT_EQ(
      Distractors({.samples = 5, .seed = 2}).fingerprint(),
      "5 problems an epoch with up to 12 tokens of junk and 3 before, of seed 2, not held out");
}

TEST(Distractors, RefuseNumbersOutOfRange) {
  EXPECT_EQ(error_of([] { Distractors({.samples = -1}); }),
            "[distractors] samples must be from 0 to 2^40, not -1");
  EXPECT_EQ(error_of([] { Distractors({.most_junk = 1001}); }),
            "[distractors] junk and lead must be from 0 to 1000 tokens, not 1001");
  EXPECT_EQ(error_of([] { Distractors({.samples = 3}).sample(3); }),
            "[distractors] there is no sample 3: there are 3");
  EXPECT_EQ(error_of([] { Distractors({.samples = 3}).sample(0, -1); }),
            "[distractors] there is no epoch -1");
}

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

TEST(Distractors, RefuseSamplesThatAreNoneOfTheirs) {
  const auto error = [](const Distractors::Sample& sample) {
    return error_of([&] { collate_distractors(std::array{sample}); });
  };
  const ArithmeticProblem sound = {-3, 4, true, false, '-'};
  EXPECT_EQ(error({.problem = {kLeast, 4}}),
            fmt::format("[distractors] operands have one digit and are not 0, and {} is no such "
                        "number",
                        kLeast));
  // '=' is a character of the vocabulary, and '/' is none.
  for (const char wrong : {'/', '='}) {
    EXPECT_EQ(error({.problem = {3, 4, true, true, wrong}}),
              fmt::format("[distractors] an operator is one of +-*, and '{}' is none", wrong));
  }
  EXPECT_EQ(error({.problem = sound, .lead = -1}),
            "[distractors] the lead must be from 0 to 1000 tokens, not -1");
  EXPECT_EQ(error({.problem = sound, .lead = 1001}),
            "[distractors] the lead must be from 0 to 1000 tokens, not 1001");
}

// A blank would be padding within a sequence, and a separator no junk.
TEST(Distractors, TakeForJunkWhatTheyDrawJunkFrom) {
  std::string drawn, taken;
  const Distractors data({.samples = 300, .seed = 3});
  std::set<char> characters;
  for (std::int64_t i = 0; i < 300; ++i) {
    for (const char c : arithmetic_text(data.sample(i).junk)) characters.insert(c);
  }
  for (const char c : kArithmeticVocabulary) {
    if (characters.contains(c)) drawn += c;
    const Distractors::Sample sample = {{1, 2}, 0, arithmetic_tokens(fmt::format("3{}4", c))};
    const std::string error = error_of([&] { collate_distractors(std::array{sample}); });
    if (error == "no error") {
      taken += c;
    } else {
      EXPECT_EQ(error,
                fmt::format("[distractors] junk is made of xy+-*0123456789, and not of '{}'", c));
    }
  }
  EXPECT_EQ(taken, drawn);
  const Distractors::Sample unknown = {{1, 2}, 0, {Distractors::kAsking}};
  EXPECT_EQ(error_of([&] { collate_distractors(std::array{unknown}); }),
            "[arithmetic] token 20 is outside the vocabulary of 20");
}

TEST(Distractors, TakeNoNumberOfMoreDigitsForOneOfFew) {
  for (const std::int64_t wrong : {kLeast, kLeast + 1, std::int64_t{-100}}) {
    EXPECT_EQ(error_of([&] { answer_in_two_digits(wrong); }),
              fmt::format("[distractors] {} has more than two digits", wrong));
    EXPECT_NE(error_of([&] { distractor_steps({wrong, 1, true, false, '-'}); }), "no error");
    EXPECT_NE(error_of([&] { distractor_reading({1, wrong}); }), "no error");
  }
  EXPECT_EQ(answer_in_two_digits(-99), "-99");
  EXPECT_EQ(answer_in_two_digits(99), "+99");
}

}  // namespace
}  // namespace maskgrad
