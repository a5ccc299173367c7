// The recipe arithmetic: trained a little, asked, examined and checked.
#include <nlohmann/json.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

// A run of a small model that knows next to nothing as yet.
class Arithmetic : public test::CliTest {
 protected:
  test::CliResult train_arithmetic(const std::vector<std::string>& more) {
    std::vector<std::string> args = {
        "train",   "arithmetic", "--out",        "r",  "--features", "16", "--layers", "1",
        "--heads", "2",          "--batch-size", "16", "--samples",  "160"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
};

TEST_F(Arithmetic, TrainsOnProblemsThatItDrawsAndIsValidatedOnOthers) {
  const auto result = train_arithmetic({"--minutes", "0", "--steps", "25"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("160 samples, 25 steps of 16"));
  EXPECT_THAT(result.err, HasSubstr("validation after step 20"));
  EXPECT_THAT(result.out, ContainsRegex("exact +0\\."));
  EXPECT_FALSE(exists("r/data")) << "nothing is written of what is drawn";
  const auto again = run({"train", "arithmetic", "--out", "r", "--resume", "--steps", "30"});
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(Arithmetic, EndsItsScheduleWithItsMinutes) {
  const auto result = train_arithmetic({"--minutes", "0.02"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("160 samples, 0.02 minutes of steps of 16"));
  EXPECT_THAT(result.err, Not(HasSubstr("9223372036854775807")));
  expect_error(train_arithmetic({"--minutes", "0", "--force"}), 2,
               "--epochs, --steps and --minutes are all 0: nothing would end the run");
}

TEST_F(Arithmetic, HasTheSameWeightsWhereItComputesBlocksAgain) {
  const std::vector<std::string> few = {"--minutes", "0", "--steps", "12", "--dropout", "0.2"};
  ASSERT_EQ(train_arithmetic(few).code, 0);
  const std::string kept = read("r/model.safetensors");
  std::vector<std::string> again = few;
  again.insert(again.end(), {"--force", "--recompute"});
  ASSERT_EQ(train_arithmetic(again).code, 0);
  EXPECT_TRUE(read("r/model.safetensors") == kept);
}

TEST_F(Arithmetic, SaysWhereAScheduleThatIsOverBeginsAgain) {
  ASSERT_EQ(train_arithmetic({"--minutes", "0.01"}).code, 0);
  const auto again = run({"train", "arithmetic", "--out", "r", "--resume", "--minutes", "0.01"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, ContainsRegex("the schedule (spanned|has begun to fall)"));
}

TEST_F(Arithmetic, AnswersWithACacheWhatItWasTrainedOnInRows) {
  ASSERT_EQ(train_arithmetic({"--minutes", "0", "--steps", "1", "--pack", "always"}).code, 0);
  expect_error(run({"predict", "r", "x=1,y=2:x+y"}), 1, "the model writes no answer");
}

TEST_F(Arithmetic, SaysOfALineWhyItHasNoAnswer) {
  ASSERT_EQ(train_arithmetic({"--minutes", "0", "--steps", "1"}).code, 0);
  expect_error(run({"predict", "r", "x=1,y=2"}), 1,
               "'x=1,y=2' is not a problem of the form x=-12,y=24:y-x: both numbers once");
  expect_error(run({"predict", "r", "x=100,y=2:x+y"}), 1,
               "x is 100: the model was trained on numbers from -99 to 99");
  expect_error(run({"predict", "r", "y=-1000,x=2:x+y"}), 1, "y is -1000");
  expect_error(run({"predict", "r", "x=1,y=2:x+y"}), 1, "the model writes no answer");
  const auto shown = run({"predict", "r", "--show-work", "x=1,y=2:x+y"});
  EXPECT_EQ(shown.code, 1);
  EXPECT_EQ(shown.out.back(), '\n') << "what it wrote stands on a line of its own";
}

TEST_F(Arithmetic, KeepsAnswersLevelWithQuestionsThatHaveNone) {
  ASSERT_EQ(train_arithmetic({"--minutes", "0", "--steps", "1"}).code, 0);
  const auto result =
      run({"predict", "r", "--show-work"}, {.input = "x=1,y=2:x+y\n\nx=1,y=2\nx=3,y=2:x*y\n"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, ContainsRegex("^[^\n]+  error: arithmetic: the model writes no answer: "
                                        "[^\n]+\n\nerror: arithmetic: 'x=1,y=2' is no[^\n]+\n"
                                        "[^\n]+  error: arithmetic: the model writes[^\n]+\n$"));
  EXPECT_THAT(result.err, HasSubstr("predict: no answer to 3 of 4 lines; line 1: arithmetic: the"));
}

TEST_F(Arithmetic, IsExaminedOnProblemsThatWereHeldOut) {
  ASSERT_EQ(train_arithmetic({"--minutes", "0", "--steps", "1"}).code, 0);
  const auto result = run({"eval", "r", "--samples", "60", "--json", "f.json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("samples    2000, held out"));
  EXPECT_THAT(result.out, ContainsRegex("operation +answer +digits +problems +wrong +exact"));
  EXPECT_THAT(result.out, HasSubstr("the model writes no answer"));
  const auto all = nlohmann::json::parse(read("f.json")), json = all["results"];
  EXPECT_EQ(all["samples"], 2000);
  EXPECT_EQ(json["count"], 60);
  for (const char* key : {"exact_add", "exact_subtract", "exact_multiply"}) {
    EXPECT_EQ(json[key], 0.0) << key;
  }
  expect_error(run({"eval", "r", "--data", "d"}), 1, "the recipe arithmetic draws its data");
  expect_error(run({"eval", "r", "--samples", "-1"}), 2, "--samples must be at least 0");
  expect_error(run({"eval", "r", "--samples", "1", "--data", "d"}), 2,
               "--samples limits the table of answers, and with --data there is none");
}

TEST_F(Arithmetic, IsProvedToBeCausal) {
  ASSERT_EQ(train_arithmetic({"--minutes", "0", "--steps", "1"}).code, 0);
  const auto result = run({"check", "r", "--samples", "3", "--elements", "3"});
  EXPECT_EQ(result.code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, ContainsRegex("causality +holds"));
  EXPECT_THAT(result.out, ContainsRegex("targets +holds"));
}

TEST_F(Arithmetic, RefusesSettingsThatFitNoModel) {
  expect_error(train_arithmetic({"--heads", "3"}), 2, "equal parts, and 3 does not cut 16 so");
  expect_error(train_arithmetic({"--max-val", "1"}), 2, "'max_val' must be at least 2");
  expect_error(train_arithmetic({"--data", "d"}), 2, "--data");
}

}  // namespace
}  // namespace maskgrad
