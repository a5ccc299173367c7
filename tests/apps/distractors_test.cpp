// The recipe distractors: trained a little with each sampler, asked and examined.
#include <string>
#include <tuple>

#include <nlohmann/json.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class DistractorsRecipe : public test::CliTest {
 protected:
  test::CliResult train_distractors(const std::vector<std::string>& more) {
    std::vector<std::string> args = {"train",
                                     "distractors",
                                     "--out",
                                     "r",
                                     "--features",
                                     "8",
                                     "--heads",
                                     "2",
                                     "--selector-features",
                                     "8",
                                     "--layers",
                                     "1",
                                     "--batch-size",
                                     "8",
                                     "--steps",
                                     "20",
                                     "--samples",
                                     "80"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
};

TEST_F(DistractorsRecipe, EndsWithItsFiguresForEachWayToMakeAMask) {
  for (const char* sampler :
       {"soft", "straight-through", "gumbel", "hard-concrete", "reinforce", "none", "oracle"}) {
    const auto result = train_distractors({"--sampler", sampler, "--force"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("needed kept")) << sampler;
    const auto json = nlohmann::json::parse(read("r/results.json"));
    for (const char* name :
         {"accuracy", "accuracy_oracle", "junk_dropped", "needed_kept", "kept", "read"}) {
      EXPECT_GE(json[name], 0) << name;
      EXPECT_LE(json[name], 1) << name;
    }
    const std::string report = read("r/report.html");
    EXPECT_THAT(report, AllOf(HasSubstr("junk_dropped"), HasSubstr("class=\"token needed\"")));
    const std::string_view how = sampler;
    const bool has_mask = how != "none";
    EXPECT_GT(json["us_per_step_full"], 0);
    for (const char* name : {"us_per_mask", "us_per_step_hard", "time_share"}) {
      EXPECT_EQ(json.contains(name), has_mask) << sampler;
      EXPECT_GT(json.value(name, 1.0), 0) << sampler;
    }
    EXPECT_EQ(report.find("Behind its mask a step of r takes ") != std::string::npos, has_mask);
    EXPECT_THAT(report, HasSubstr(has_mask ? "<p>The mask keeps <code>" : "<p>The model reads "));
    if (how == "oracle") {
      EXPECT_EQ(json["junk_dropped"], 1);
      EXPECT_EQ(json["needed_kept"], 1);
    }
    if (how == "none") {
      EXPECT_EQ(json["kept"], 1);
    }
  }
}

TEST_F(DistractorsRecipe, LearnsInFloat64InEachPhase) {
  for (const char* sampler : {"soft", "straight-through", "gumbel", "hard-concrete", "reinforce"}) {
    const auto result = train_distractors({"--sampler", sampler, "--dtype", "float64", "--force"});
    EXPECT_EQ(result.code, 0) << result.err;
  }
}

// From the checkpoint of the first half: within the phase that selects.
TEST_F(DistractorsRecipe, GoesOnAsIfItHadNotBeenStopped) {
  for (const char* sampler : {"gumbel", "reinforce"}) {
    ASSERT_EQ(train_distractors({"--sampler", sampler}).code, 0);
    const std::string whole = read("r/model.safetensors");
    std::filesystem::remove(path("r/checkpoints/step_000000000020.safetensors"));
    std::filesystem::remove(path("r/model.safetensors"));
    const auto again = run({"train", "distractors", "--out", "r", "--resume"});
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_THAT(again.out, HasSubstr("steps        10 in "));
    EXPECT_TRUE(read("r/model.safetensors") == whole) << sampler;
    std::filesystem::remove_all(path("r"));
  }
}

TEST_F(DistractorsRecipe, AnswersAndShowsWhatItRead) {
  ASSERT_EQ(train_distractors({"--sampler", "oracle"}).code, 0);
  expect_error(run({"predict", "r", "x=0,y=4:y-x"}), 1, "numbers that are not 0");
  expect_error(run({"predict", "r", "x=12,y=4:y-x"}), 1,
               "x is 12: the model was trained on numbers from -9 to 9\n");
  expect_error(run({"predict", "r", "x=1,y=4:y-x|1234567890123"}), 1,
               "the model was trained with at most 12 tokens behind a problem, and here stand 13");
  expect_error(run({"predict", "r", "x=1,y=4:y-x|1 2"}), 1,
               "junk is made of xy+-*0123456789, and not of ' '");
  expect_error(run({"explain", "r", "x=1,y=4:y-x|1:2"}), 1, "and not of ':'");
}

// Whatever it has learned, what it writes is a number.
TEST_F(DistractorsRecipe, ExplainsAModelThatHasLearnedNothing) {
  const auto trained = train_distractors({"--steps", "3", "--most-junk", "2"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const auto result = run({"explain", "r", "x=-3,y=4:y-x|12"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(run({"predict", "r", "x=-3,y=4:y-x|1"}).out, ContainsRegex("^-?[0-9]+\\b"));
  EXPECT_THAT(read("r/report.html"), Not(HasSubstr("no input is explained")));
}

TEST_F(DistractorsRecipe, IsExaminedAgainByEval) {
  ASSERT_EQ(train_distractors({}).code, 0);
  const auto result = run({"eval", "r", "--samples", "50", "--json", "e.json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("junk dropped"));
  EXPECT_EQ(nlohmann::json::parse(read("e.json"))["results"]["count"], 50);
}

// In floating point these add to more than 1.
TEST_F(DistractorsRecipe, TakesPhasesThatAddToAllSteps) {
  const auto result = train_distractors(
      {"--steps", "4", "--warm-up", "0.34", "--calibrate", "0.56", "--select", "0.1"});
  EXPECT_EQ(result.code, 0) << result.err;
}

// Whatever a run warned of stands in its results.json, and the report says it again.
TEST_F(DistractorsRecipe, ReportsTheWarningsOfItsResults) {
  ASSERT_EQ(train_distractors({}).code, 0);
  auto json = nlohmann::json::parse(read("r/results.json"));
  json["warnings"] = {"kept was below 0.05 for 500 steps: <all> is dropped", 7};
  write("r/results.json", json.dump());
  const auto result = run({"report", "r", "--out", "p.html"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(read("p.html"), AllOf(HasSubstr("r: kept was below 0.05 for 500 steps: &lt;all&gt;"),
                                    HasSubstr("junk_dropped")));
}

// A price that is high enough closes or opens any mask.
// By the sampler, and whether tokens cost that are kept.
class CollapsingMask : public DistractorsRecipe,
                       public ::testing::WithParamInterface<std::tuple<std::string, bool>> {};

TEST_P(CollapsingMask, IsWarnedOf) {
  const auto [sampler, pays_for_kept] = GetParam();
  const auto result =
      train_distractors({"--steps", "700", "--batch-size", "2", "--warm-up", "0", "--calibrate",
                         "0", "--select", "1", "--lr", "1", "--cost", "100", "--sampler", sampler,
                         "--price", pays_for_kept ? "kept" : "masked"});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string says =
      pays_for_kept ? "kept was below 0.05 for 500 steps: the mask drops everything; lower --cost"
                    : "kept was above 0.95 for 500 steps: the mask keeps everything; lower --cost";
  EXPECT_THAT(result.err, HasSubstr(says));
  EXPECT_THAT(read("r/results.json"), HasSubstr(says));
}

INSTANTIATE_TEST_SUITE_P(
    Each, CollapsingMask,
    ::testing::Combine(::testing::Values<std::string>("soft", "straight-through", "gumbel",
                                                      "hard-concrete", "reinforce"),
                       ::testing::Bool()));

// A mask whose logits are no numbers any more, while it is learned, when it stands still, and where
// it is validated.
TEST_F(DistractorsRecipe, DivergesAtAStepWithAnAdvice) {
  const std::vector<std::string> large = {"--lr",        "1e30", "--warm-up",  "0",
                                          "--calibrate", "0",    "--progress", "off"};
  for (const char* sampler : {"soft", "straight-through", "gumbel", "hard-concrete", "reinforce"}) {
    for (const char* select : {"0.67", "0.34"}) {
      std::vector<std::string> args = large;
      args.insert(args.end(), {"--sampler", sampler, "--steps", "3", "--select", select});
      const auto result = train_distractors(args);
      expect_error(result, 1, "train: step 1: ");
      EXPECT_THAT(result.err, HasSubstr("a smaller learning rate may help")) << sampler;
      EXPECT_FALSE(exists("r"));
    }
  }
  std::vector<std::string> one = large;
  one.insert(one.end(), {"--steps", "1", "--select", "1"});
  expect_error(train_distractors(one), 1, "validation: step 1: batch 0: decide: a logit is NaN");
}

TEST_F(DistractorsRecipe, WarnsOfNothingInAShortRun) {
  const auto result = train_distractors({"--sampler", "none"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_FALSE(nlohmann::json::parse(read("r/results.json")).contains("warnings"));
}

// What is read of a folder makes the mask anew, from the weights alone.
TEST_F(DistractorsRecipe, IsSavedWithItsHardMask) {
  const auto trained = train_distractors({"--sampler", "soft", "--steps", "200", "--warm-up",
                                          "0.25", "--calibrate", "0", "--select", "0.75", "--lr",
                                          "0.05", "--schedule", "constant", "--cost", "100"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const auto json = nlohmann::json::parse(read("r/results.json"));
  EXPECT_LT(json["kept"], 0.01);
  ASSERT_EQ(run({"eval", "r", "--json", "e.json"}).code, 0);
  const auto again = nlohmann::json::parse(read("e.json"))["results"];
  for (const char* name : {"accuracy", "kept", "read", "junk_dropped", "needed_kept"}) {
    EXPECT_EQ(again[name], json[name]) << name;
  }
  const auto explained = run({"explain", "r", "x=-3,y=4:y-x|12+y"});
  ASSERT_EQ(explained.code, 0) << explained.err;
  EXPECT_THAT(explained.out, HasSubstr("25 positions: the learned mask keeps 7 and drops 18."));
  // Nothing is left of either problem but the tokens that ask.
  const auto one = run({"predict", "r", "--probabilities", "x=-3,y=4:y-x|12+y"}),
             other = run({"predict", "r", "--probabilities", "x=8,y=9:x*y|77+xx"});
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.out, other.out);
}

TEST_F(DistractorsRecipe, RefusesPhasesThatDoNotFit) {
  expect_error(train_distractors({"--warm-up", "0.9"}), 2, "the phases take");
  expect_error(train_distractors({"--heads", "3"}), 2, "--heads must cut both features");
  expect_error(
      train_distractors({"--selector-features", "6"}), 2,
      "--heads must cut --selector-features into parts of an even size, and cuts 6 into 3");
  expect_error(train_distractors({"--steps", "0", "--epochs", "1"}), 2, "--steps must be above 0");
}

TEST_F(DistractorsRecipe, ExplainsWhatItsMaskKeepsOfAnInput) {
  ASSERT_EQ(train_distractors({"--sampler", "oracle"}).code, 0);
  const auto explained = run({"explain", "r", "x=-3,y=4:y-x|12+y"});
  ASSERT_EQ(explained.code, 0) << explained.err;
  EXPECT_THAT(explained.out,
              AllOf(HasSubstr("25 positions: the learned mask keeps 21 and drops 4."),
                    HasSubstr("???????x=-3,y=+4:y-x|12+y"), HasSubstr("What is dropped gets no")));
}

}  // namespace
}  // namespace maskgrad
