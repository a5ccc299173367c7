// Recipes whose runs have phases: nothing ends a run early, moves its phases or cuts its batches.
#include <regex>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kRecipes[] = {"tasks", "distractors"};

// Runs of 20 steps, 10 of them an epoch.
class Phases : public test::CliTest {
 protected:
  test::CliResult train_small(const std::string& recipe, const std::vector<std::string>& more) {
    std::vector<std::string> args = {
        "train",     "",   "--out",      "r",   "--features",   "8",
        "--heads",   "2",  "--steps",    "20",  "--batch-size", "8",
        "--samples", "80", "--progress", "off", "--force",      "--no-tensorboard"};
    args[1] = recipe;
    if (recipe == "tasks") args.insert(args.end(), {"--hidden", "16", "--gate-features", "8"});
    if (recipe == "distractors")
      args.insert(args.end(), {"--selector-features", "8", "--layers", "1"});
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  test::CliResult resume(const std::string& recipe, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"train",    recipe,       "--out", "r",
                                     "--resume", "--progress", "off"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  void expect_checkpoint_of(int steps) {
    EXPECT_TRUE(exists(fmt::format("r/checkpoints/step_{:012}.safetensors", steps))) << steps;
    EXPECT_FALSE(exists(fmt::format("r/checkpoints/step_{:012}.safetensors", steps + 1)));
  }
};

TEST_F(Phases, RefuseWhatEndsTheRunBeforeThem) {
  for (const char* recipe : kRecipes) {
    expect_error(train_small(recipe, {"--minutes", "1"}), 2,
                 "--minutes could end the run within any of its phases");
    expect_error(train_small(recipe, {"--epochs", "1"}), 2,
                 "--epochs 1 ends the run after 10 of its 20 steps, and its phases are shares of "
                 "all of them: take --epochs 0; or begin a run of --steps 10");
    // The last batch of an epoch may be smaller.
    expect_error(train_small(recipe, {"--epochs", "1", "--samples", "81"}), 2,
                 "after 11 of its 20");
    EXPECT_FALSE(exists("r"));
    for (const auto& [epochs, steps] : {std::pair("2", 20), {"3", 20}, {"1", 10}}) {
      const auto result =
          train_small(recipe, {"--epochs", epochs, "--steps", std::to_string(steps)});
      EXPECT_EQ(result.code, 0) << result.err;
      expect_checkpoint_of(steps);
    }
    std::filesystem::remove_all(path("r"));
  }
}

TEST_F(Phases, StayWhereTheyAreInARunThatGoesOn) {
  for (const char* recipe : kRecipes) {
    ASSERT_EQ(train_small(recipe, {}).code, 0);
    const std::string config = read("r/config.toml"), model = read("r/model.safetensors");
    for (const char* steps : {"40", "10"}) {
      expect_error(resume(recipe, {"--steps", steps}), 2,
                   fmt::format("has steps = 20: it cannot go on with {}, for its phases are shares "
                               "of them; a new run can",
                               steps));
    }
    expect_error(resume(recipe, {"--minutes", "1"}), 2, "--minutes could end the run");
    EXPECT_TRUE(read("r/config.toml") == config);
    EXPECT_TRUE(read("r/model.safetensors") == model);
    expect_checkpoint_of(20);
    const auto over = resume(recipe, {"--steps", "20", "--progress", "lines"});
    EXPECT_EQ(over.code, 0) << over.err;
    EXPECT_THAT(over.err, AllOf(HasSubstr("it ends at steps = 20, for its phases are shares"),
                                Not(HasSubstr("--steps asks for more"))));
    write("r/config.toml",
          std::regex_replace(config, std::regex("\nsteps = 20 "), "\nsteps = 40 "));
    expect_error(resume(recipe), 2, "'r/config.toml' says, for its phases are shares");
  }
}

// It has no phases where nothing is chosen and no mask is learned.
TEST_F(Phases, AreThoseOfRunsThatLearnWhatToChoose) {
  for (const std::vector<std::string>& way :
       {std::vector<std::string>{"tasks", "--choice", "shared"},
        {"distractors", "--sampler", "none"},
        {"distractors", "--sampler", "oracle"}}) {
    const auto result = train_small(way[0], {way[1], way[2], "--epochs", "1"});
    EXPECT_EQ(result.code, 0) << result.err;
    expect_checkpoint_of(10);
    std::filesystem::remove_all(path("r"));
  }
}

// Broken off behind the phase in which the mask was learned, from steps that kept all.
TEST_F(Phases, AreWatchedAcrossAResume) {
  const auto result = train_small(
      "distractors", {"--cost", "0", "--steps", "1300", "--samples", "1600", "--most-junk", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto warnings = [&] { return nlohmann::json::parse(read("r/results.json"))["warnings"]; };
  const auto whole = warnings();
  ASSERT_THAT(whole.dump(), HasSubstr("kept was above 0.95 for 500 steps"));
  std::filesystem::remove(path("r/checkpoints/step_000000001300.safetensors"));
  std::filesystem::remove(path("r/model.safetensors"));
  std::filesystem::remove(path("r/results.json"));
  ASSERT_EQ(resume("distractors").code, 0);
  EXPECT_EQ(warnings(), whole);
  ASSERT_EQ(resume("distractors").code, 0) << "nothing is left to do";
  EXPECT_EQ(warnings(), whole);
}

// A command that would be refused is no advice.
TEST_F(Phases, OfARunThatHasNotEndedAreEndedByGoingOnAlone) {
  ASSERT_EQ(train_small("tasks", {}).code, 0);
  const std::string model = read("r/model.safetensors");
  std::filesystem::remove(path("r/model.safetensors"));
  std::filesystem::remove(path("r/checkpoints/step_000000000020.safetensors"));
  const auto result = run({"predict", "r", "3+4"});
  expect_error(result, 1, "; go on with: maskgrad train tasks --out r --resume\n");
  EXPECT_THAT(result.err, Not(HasSubstr("--steps")));
  EXPECT_EQ(resume("tasks").code, 0);
  EXPECT_TRUE(read("r/model.safetensors") == model);
}

// Nothing gets better with a rate of 0. The second half is the last phase of a choice.
TEST_F(Phases, AreOverBeforePatienceCounts) {
  const std::vector<std::string> idle = {"--lr", "0", "--val-every", "1", "--patience", "1"};
  const auto result = train_small("tasks", idle);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("by patience: 1 validation in a row"),
                                HasSubstr("after step 10: use it with --best")));
  expect_checkpoint_of(11);
  std::vector<std::string> shared = idle;
  shared.insert(shared.end(), {"--choice", "shared"});
  ASSERT_EQ(train_small("tasks", shared).code, 0);
  expect_checkpoint_of(2);
}

TEST_F(Phases, SayFromWhereOnValidationsCount) {
  const auto expect_no_best = [&](const char* recipe, const std::string& why) {
    ASSERT_EQ(train_small(recipe, {}).code, 0);
    std::filesystem::remove(path("r/best.safetensors"));
    const auto result = run({"eval", "r", "--best"});
    expect_error(result, 1, "'r' has no best.safetensors: its validations " + why);
    EXPECT_THAT(result.err, Not(HasSubstr("--val")));
  };
  // 0.3 + 0.15 + 0.4 of 20 steps, and half of them.
  expect_no_best("distractors", "from step 17 on say which weights are best");
  expect_no_best("tasks", "from step 10 on say which weights are best");
}

double loss_in(const std::string& json) { return nlohmann::json::parse(json)["loss"]; }

TEST_F(Phases, RefusePartsOfBatchesWhereTheLossIsNoSumOverSamples) {
  const auto expect_refusal = [&](const char* recipe, const char* flag, const char* name) {
    expect_error(
        train_small(recipe, {flag, name, "--micro-batches", "2"}), 2,
        fmt::format("{}: --micro-batches is 2, and the loss is no sum over samples", recipe));
  };
  for (const char* choice : {"gate", "query"}) expect_refusal("tasks", "--choice", choice);
  for (const char* sampler : {"soft", "straight-through", "gumbel", "hard-concrete", "reinforce"}) {
    expect_refusal("distractors", "--sampler", sampler);
  }
  EXPECT_FALSE(exists("r"));
  for (const auto& [recipe, flag, name] : {std::tuple("tasks", "--choice", "shared"),
                                           {"distractors", "--sampler", "none"},
                                           {"distractors", "--sampler", "oracle"}}) {
    std::vector<double> losses;
    for (const char* parts : {"1", "3"}) {
      const auto result = train_small(recipe, {flag, name, "--micro-batches", parts});
      ASSERT_EQ(result.code, 0) << result.err;
      ASSERT_EQ(run({"eval", "r", "--samples", "1", "--json", "e.json"}).code, 0);
      losses.push_back(loss_in(read("e.json")));
    }
    EXPECT_NEAR(losses[0], losses[1], 1e-4) << recipe << " " << name;
  }
}

}  // namespace
}  // namespace maskgrad
