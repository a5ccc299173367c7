#include <regex>

#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/progress.hpp>
#include <maskgrad/train/callbacks/validation.hpp>

#include "support/files.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::ToyOptions;
using test::ToyRun;
using ::testing::MatchesRegex;
using Style = Progress::Style;

// What a run of two epochs of three steps writes, interrupted after `until` steps.
std::vector<std::string> written(Style style, bool color, std::chrono::nanoseconds interval,
                                 std::int64_t until = 6, const Progress::Columns& columns = {}) {
  std::vector<std::string> texts;
  ToyRun toy({.training = {.epochs = 2}});
  toy.trainer->add(std::make_unique<Progress>(
      style, color, [&](std::string_view text) { texts.emplace_back(text); }, interval, columns));
  test::Notes::Kept kept;
  std::atomic<bool> stop = false;
  toy.trainer->add(
      std::make_unique<test::Notes>(kept, [&](auto& step) { stop = step.step + 1 == until; }));
  toy.run(stop);
  return texts;
}

constexpr const char* kStatus =
    "[0-9]+ steps/s  [0-9:]+ left  loss [0-9]\\.[0-9]{4}  accuracy [01]\\.[0-9]{4}";
constexpr const char* kEpoch =
    "epoch 1/2  loss [0-9]\\.[0-9]{4}  accuracy [01]\\.[0-9]{4}  3 steps  0\\.[0-9] s\n";

// GoogleTest's own expressions do not know {4}.
MATCHER_P(IsLike, expression, "") { return std::regex_match(arg, std::regex(expression)); }

TEST(Progress, WritesALineForStepsAndForEpochs) {
  const std::vector<std::string> lines = written(Style::kLines, false, {});
  ASSERT_EQ(lines.size(), 8U);
  EXPECT_THAT(lines[0], IsLike(std::string("step 1/6  ") + kStatus + "\n"));
  EXPECT_THAT(lines[2], IsLike(std::string("step 3/6  ") + kStatus + "\n"));
  EXPECT_THAT(lines[3], IsLike(kEpoch));
  EXPECT_THAT(lines[6], IsLike(std::string("step 6/6  [0-9]+ steps/s  0:00 left.*\n")));
}

TEST(Progress, WritesOnlyEpochsWhenStepsAreQuick) {
  const std::vector<std::string> lines = written(Style::kLines, false, std::chrono::hours(1));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], IsLike(kEpoch));
  EXPECT_THAT(lines[1], ::testing::StartsWith("epoch 2/2  loss "));
}

TEST(Progress, DrawsItsBarAgainInTheSameLine) {
  const std::vector<std::string> texts = written(Style::kBar, false, {});
  ASSERT_EQ(texts.size(), 8U);
  const std::string clear = "\r\x1b[K";
  const auto bar = [](int filled) {
    std::string text;
    for (int i = 0; i < 20; ++i) text += i < filled ? "━" : "─";
    return text;
  };
  EXPECT_THAT(texts[0], ::testing::StartsWith(clear + bar(3) + " 1/6  "));
  EXPECT_THAT(texts[2], ::testing::StartsWith(clear + bar(10) + " 3/6  "));
  EXPECT_THAT(texts[6], ::testing::StartsWith(clear + bar(20) + " 6/6  "));
  for (const std::size_t i : {0U, 1U, 2U, 4U}) {
    EXPECT_EQ(texts[i].find('\n'), std::string::npos) << texts[i];
    EXPECT_THAT(texts[i].substr(texts[i].find("/6  ") + 4), IsLike(kStatus));
  }
  EXPECT_THAT(texts[3], ::testing::StartsWith(clear + "epoch 1/2  loss "));
  EXPECT_EQ(texts[3].back(), '\n');
}

TEST(Progress, DrawsTheSameBarInAsciiWhereAskedTo) {
  const std::string bar = written(Style::kAsciiBar, false, {})[2];
  EXPECT_THAT(bar, ::testing::StartsWith("\r\x1b[K==========---------- 3/6  "));
  const std::string painted = written(Style::kAsciiBar, true, {})[2];
  EXPECT_THAT(painted, ::testing::HasSubstr("\x1b[32m==========\x1b[90m----------\x1b[0m 3/6"));
}

TEST(Progress, ColorsOnlyWhenAskedTo) {
  for (const Style style : {Style::kBar, Style::kLines}) {
    for (const std::string& text : written(style, false, {})) {
      EXPECT_FALSE(std::regex_search(text, std::regex("\x1b\\[[0-9;]*m"))) << text;
    }
  }
  for (const std::string& text : written(Style::kLines, true, {})) {
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << "lines have no bar to paint";
  }
  const std::string painted = written(Style::kBar, true, {})[0];
  EXPECT_NE(painted.find("\x1b[32m"), std::string::npos);
  EXPECT_LT(painted.rfind('m', painted.find('/')), painted.find('/'));
  EXPECT_NE(painted.find("\x1b[0m"), std::string::npos) << "the color must end";
}

// How many columns of a terminal a line takes: control characters none, a UTF-8 sequence one.
std::size_t width_of(std::string text) {
  text = std::regex_replace(text, std::regex("\r|\x1b\\[[0-9;]*[mK]"), "");
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

TEST(Progress, KeepsItsBarWithinTheTerminal) {
  for (const bool color : {false, true}) {
    std::size_t widest = 0;
    for (const int columns : {1, 10, 15, 30, 50, 70, 200}) {
      const auto texts = written(Style::kBar, color, {}, 6, [=] { return columns; });
      for (const std::size_t i : {0U, 1U, 2U, 4U, 5U, 6U}) {
        EXPECT_LT(width_of(texts[i]), static_cast<std::size_t>(columns)) << texts[i];
        widest = std::max(widest, width_of(texts[i]));
      }
    }
    EXPECT_GT(widest, 60U) << "a wide terminal gets it all";
  }
}

TEST(Progress, ShowsTheLastValidationInItsBar) {
  std::vector<std::string> texts;
  ToyRun toy({.training = {.epochs = 2}});
  toy.trainer->add(std::make_unique<Validation>(toy.data, Validation::Options{}));
  toy.trainer->add(std::make_unique<Progress>(
      Style::kBar, false, [&](std::string_view text) { texts.emplace_back(text); },
      std::chrono::nanoseconds(0)));
  toy.run();
  ASSERT_EQ(texts.size(), 10U) << "a line for each step, epoch and validation";
  EXPECT_EQ(texts[2].find("validation"), std::string::npos);
  const std::string validation = texts[3].substr(texts[3].find(" loss"));
  ASSERT_THAT(validation, ::testing::StartsWith(" loss "));
  EXPECT_THAT(texts[5], ::testing::EndsWith("  validation" +
                                            validation.substr(0, validation.find("  the best"))));
}

TEST(Progress, WipesTheBarOfARunThatFails) {
  std::vector<std::string> texts;
  {
    ToyRun toy({});
    toy.trainer->add(std::make_unique<Progress>(
        Style::kBar, false, [&](std::string_view text) { texts.emplace_back(text); },
        std::chrono::nanoseconds(0)));
    test::Notes::Kept kept;
    toy.trainer->add(std::make_unique<test::Notes>(
        kept, [](const StepInfo& step) { check(step.step < 1, "test", "enough"); }));
    EXPECT_THROW(toy.run(), Error);
    EXPECT_EQ(texts.size(), 2U);
  }
  ASSERT_EQ(texts.size(), 3U);
  EXPECT_EQ(texts.back(), "\r\x1b[K");
  EXPECT_THAT(written(Style::kBar, false, {}).back(), ::testing::EndsWith(" s\n"));
}

TEST(Progress, SaysWhereARunWasStopped) {
  EXPECT_EQ(written(Style::kLines, false, std::chrono::hours(1), 2).back(),
            "stopped after step 2/6\n");
  EXPECT_EQ(written(Style::kBar, false, std::chrono::hours(1), 2).back(),
            "\r\x1b[Kstopped after step 2/6\n");
}

TEST(Progress, SaysFirstAfterWhichStepARunGoesOnAndNothingWhereNoStepIsLeft) {
  const test::ScratchFolder folder;
  const ToyOptions options = {.training = {.epochs = 2}};
  ToyRun broken(options);
  broken.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
  test::stop_after(broken, 2);
  for (const bool is_left : {true, false}) {
    std::vector<std::string> texts;
    ToyRun toy = test::from_checkpoint(options, folder.path());
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
    toy.trainer->add(std::make_unique<Progress>(
        Style::kLines, false, [&](std::string_view text) { texts.emplace_back(text); },
        std::chrono::hours(1)));
    toy.run();
    ASSERT_EQ(texts.size(), is_left ? 3U : 0U);
    if (is_left) {
      EXPECT_EQ(texts.front(), "goes on after step 2/6\n");
    }
  }
}

TEST(Progress, SaysWhatTheMeansCoverWhereStepsEndWithinAnEpoch) {
  std::string last;
  ToyRun toy({.training = {.epochs = 2, .max_steps = 5}});
  toy.trainer->add(std::make_unique<Progress>(
      Style::kLines, false, [&](std::string_view text) { last = text; }, std::chrono::hours(1)));
  toy.run();
  EXPECT_THAT(last, IsLike(std::string("ended after step 5/5  loss [0-9]\\.[0-9]{4}  accuracy "
                                       "[01]\\.[0-9]{4}  mean of the last 2 steps\n")));
}

TEST(FormatDuration, WritesHoursMinutesAndSeconds) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(-3), "0:00");
  EXPECT_EQ(format_duration(7.4), "0:07");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(754), "12:34");
  EXPECT_EQ(format_duration(3599.5), "1:00:00");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(360000), "100:00:00");
}

}  // namespace
}  // namespace maskgrad
