// Runs that look at other data than those that they learn from.
#include <sstream>

#include <fmt/format.h>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// What eval printed first.
double loss_in(const std::string& out) { return std::stod(out.substr(std::string("loss").size())); }

class Validation : public test::CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    ASSERT_EQ(
        run({"data", "arithmetic", "--out", "v", "--shards", "1", "--samples", "30", "--seed", "5"})
            .code,
        0);
  }
};

TEST_F(Validation, KeepsTheBestWeightsBesideTheLast) {
  const auto result = run({"train", "blog", "--data", "d", "--out", "r", "--epochs", "3", "--val",
                           "v", "--val-every", "16", "--progress", "lines"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("validation after step 16  loss "),
                    HasSubstr("validation after step 112  loss "),
                    HasSubstr("validation after step 120  loss "), HasSubstr("the best")));
  ASSERT_EQ(train({"--out", "plain", "--epochs", "3"}).code, 0);
  EXPECT_TRUE(read("r/model.safetensors") == read("plain/model.safetensors"))
      << "it changes nothing else";
  EXPECT_THAT(run({"inspect", "r/best.safetensors"}).out, HasSubstr("dbd.bias"));
  EXPECT_EQ(train({"--out", "on", "--steps", "1", "--init", "r/best.safetensors"}).code, 0);
  ASSERT_EQ(train({"--out", "r", "--steps", "1", "--force"}).code, 0);
  EXPECT_FALSE(exists("r/best.safetensors")) << "it belonged to the run before";
}

TEST_F(Validation, GivesTheBestWeightsToTheCommandsThatUseAModel) {
  const auto result =
      train({"--out", "r", "--epochs", "12", "--val", "v", "--val-every", "16", "--lr", "0.01"});
  ASSERT_EQ(result.code, 0) << result.err;
  ASSERT_EQ(train({"--out", "plain", "--steps", "1"}).code, 0);
  const std::string last = run({"eval", "r", "--data", "v"}).out,
                    best = run({"eval", "r", "--data", "v", "--best"}).out;
  EXPECT_LT(loss_in(best), loss_in(last));
  const auto told = result.out.find("best       validation loss ");
  ASSERT_NE(told, std::string::npos) << result.out;
  EXPECT_NEAR(std::stod(result.out.substr(told + 27)), loss_in(best), 1e-4);
  EXPECT_THAT(result.out.substr(told), ::testing::HasSubstr(": use it with --best\n"));
  const auto falling = train({"--out", "f", "--epochs", "1", "--val", "v"});
  EXPECT_THAT(falling.out, ::testing::ContainsRegex("best       validation loss [0-9.]+ after step "
                                                    "[0-9]+, the last\n"))
      << "the last weights are the best";
  EXPECT_THAT(run({"inspect", "r"}).out, HasSubstr("best validation loss: "));
  EXPECT_THAT(read("r/report.html"), HasSubstr("validation loss by epoch"));
  for (const char* command : {"predict", "check"}) {
    std::vector<std::string> args = {command, "r", "--best"};
    if (args[0] == "predict") args.push_back("x=1,y=2:x+y");
    EXPECT_NE(run(args).out, "") << command;
    args[1] = "plain";
    expect_error(run(args), 1,
                 "'plain' has no best.safetensors: only a run that validates keeps the best "
                 "weights, such as one with --val");
  }
}

// The numbers in the column of a table without quotes.
std::vector<double> column(const std::string& table, std::size_t place) {
  std::vector<double> values;
  std::istringstream lines(table);
  std::string line;
  for (std::getline(lines, line); std::getline(lines, line);) {
    std::istringstream cells(line);
    std::string cell;
    for (std::size_t i = 0; i <= place; ++i) std::getline(cells, cell, ',');
    values.push_back(std::stod(cell));
  }
  return values;
}

TEST_F(Validation, TellsAtTheEndWhatItCameToAndKeepsItInATable) {
  const auto result = train({"--out", "r", "--epochs", "2", "--val", "v", "--no-tensorboard"});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string table = read("r/validation.csv");
  EXPECT_THAT(table, ::testing::StartsWith("epoch,steps,loss,accuracy\n1,40,"));
  const std::vector<double> losses = column(table, 2), accuracies = column(table, 3);
  ASSERT_EQ(losses.size(), 2U);
  EXPECT_NEAR(losses[1], loss_in(run({"eval", "r", "--data", "v"}).out), 1e-5);
  EXPECT_THAT(result.out, HasSubstr(fmt::format("validation loss {:.4f}, accuracy {:.4f}\n",
                                                losses[1], accuracies[1])));
  EXPECT_THAT(read("r/report.html"), HasSubstr("validation loss by epoch"))
      << "also without event files";
}

TEST_F(Validation, HoldsOutAShareOfTheSamplesAtTheirEnd) {
  const auto result = train({"--out", "r", "--epochs", "1", "--val-share", "0.25"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\nsteps      30 in ")) << "60 samples in batches of 2";
  EXPECT_THAT(run({"eval", "r"}).out, HasSubstr("samples    20, held out\n"));
  const std::string told = run({"eval", "r"}).out;
  EXPECT_THAT(result.out, HasSubstr(fmt::format("validation loss {:.4f}", loss_in(told))));
  EXPECT_THAT(run({"eval", "r", "--data", "d"}).out, HasSubstr("samples    80\n"));
  EXPECT_EQ(run({"report", "r"}).code, 0);
  const auto other = run({"train", "blog", "--out", "r", "--resume", "--val-share", "0.5"});
  EXPECT_NE(other.code, 0) << "it would be trained on what it was tested on";
}

// Also where an older run lies there, with data of its own.
TEST_F(Validation, HoldsOutAShareOfTheDataThatTheRunMakes) {
  for (const char* seed : {"1", "2"}) {
    const auto result = run({"train", "blog", "--out", "made", "--shards", "1", "--steps", "20",
                             "--seed", seed, "--val-share", "0.1", "--force", "--progress", "off"});
    ASSERT_EQ(result.code, 0) << result.err;
    const std::string told = run({"eval", "made"}).out;
    EXPECT_THAT(told, HasSubstr("samples    100, held out\n"));
    EXPECT_THAT(result.out, HasSubstr(fmt::format("validation loss {:.4f}", loss_in(told))))
        << seed;
  }
}

TEST_F(Validation, HoldsOutOneSampleAtLeastAndTrainsOnOne) {
  ASSERT_EQ(run({"data", "arithmetic", "--out", "two", "--shards", "1", "--samples", "2"}).code, 0);
  for (const char* share : {"1e-9", "0.9"}) {
    const auto result = run({"train", "blog", "--data", "two", "--out", "r", "--steps", "1",
                             "--force", "--val-share", share, "--progress", "off"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(run({"eval", "r"}).out, HasSubstr("samples    1, held out\n")) << share;
  }
  ASSERT_EQ(run({"data", "arithmetic", "--out", "one", "--shards", "1", "--samples", "1"}).code, 0);
  expect_error(run({"train", "blog", "--data", "one", "--out", "s", "--val-share", "0.5"}), 1,
               "--val-share 0.5 of 1 sample leaves nothing to train on or to hold out");
}

TEST_F(Validation, StopsWhenNothingGetsBetter) {
  const std::vector<std::string> idle = {"--out", "r",          "--val", "v",    "--val-every",
                                         "5",     "--patience", "2",     "--lr", "0"};
  EXPECT_THAT(train(idle).out, HasSubstr("ended      by patience: 2 validations in a row had no "
                                         "smaller loss"));
  EXPECT_TRUE(exists("r/checkpoints/step_000000000015.safetensors")) << "the first, and two more";
  EXPECT_TRUE(exists("r/model.safetensors"));
  const std::string config = read("r/config.toml");
  const auto over =
      run({"train", "blog", "--out", "r", "--resume", "--lr", "0.5", "--progress", "off"});
  ASSERT_EQ(over.code, 0);
  EXPECT_THAT(
      over.err,
      HasSubstr("not kept, as patience ends the run before it makes a step: lr: 0.0 -> 0.5"));
  EXPECT_EQ(read("r/config.toml"), config);
  EXPECT_THAT(over.err, HasSubstr("nothing beat the best validation 2 times: a larger patience "
                                  "goes on"));
  EXPECT_FALSE(exists("r/checkpoints/step_000000000016.safetensors"));
  ASSERT_EQ(
      run({"train", "blog", "--out", "r", "--resume", "--patience", "3", "--progress", "off"}).code,
      0);
  EXPECT_TRUE(exists("r/checkpoints/step_000000000020.safetensors"));
}

// Neither the minutes nor the schedule have anything to do with it.
TEST_F(Validation, SaysThatPatienceEndedARunAndNothingElse) {
  const std::vector<std::string> idle = {"--out",      "r",     "--val", "v", "--val-every", "1",
                                         "--patience", "2",     "--lr",  "0", "--steps",     "50",
                                         "--schedule", "cosine"};
  ASSERT_EQ(train(idle).code, 0);
  for (const auto& [flag, value] : {std::pair("--steps", "60"), {"--minutes", "5"}}) {
    const auto longer =
        run({"train", "blog", "--out", "r", "--resume", flag, value, "--progress", "off"});
    ASSERT_EQ(longer.code, 0);
    EXPECT_THAT(longer.err, HasSubstr("not kept, as patience ends the run before it makes a step"));
    EXPECT_THAT(longer.err, Not(HasSubstr("schedule")));
    EXPECT_THAT(longer.out, HasSubstr("by patience: 2 validations in a row"));
    EXPECT_THAT(longer.out, Not(HasSubstr("minutes")));
  }
}

TEST_F(Validation, NeedsData) {
  expect_error(train({"--out", "r", "--patience", "2"}), 2,
               "train: patience is 2: it needs --val or --val-share, or --patience 0");
  expect_error(train({"--out", "r", "--val-every", "7"}), 2,
               "train: val_every is 7: it needs --val or --val-share, or --val-every 0");
  expect_error(train({"--out", "r", "--val", "none"}), 1, "'none'");
  EXPECT_FALSE(exists("r"));
}

TEST_F(Validation, DoesNotTakeTheDataThatTheRunMakesItself) {
  const std::vector<std::string> own = {"train",   "blog", "--out",      "r",
                                        "--steps", "1",    "--progress", "off"};
  ASSERT_EQ(run(own).code, 0);
  const std::string data = read("r/data/shards.json"), config = read("r/config.toml");
  std::vector<std::string> on_its_own = own;
  on_its_own.insert(on_its_own.end(), {"--force", "--val", "r/data"});
  expect_error(run(on_its_own), 2,
               "train: the run makes its own data in 'r/data': --val must name another folder");
  EXPECT_EQ(read("r/data/shards.json"), data);
  EXPECT_EQ(read("r/config.toml"), config);
}

TEST_F(Validation, CanBeTurnedOffWhereItsDataAreGone) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3", "--val", "v", "--val-every", "2"}).code, 0);
  std::filesystem::rename(path("v"), path("moved"));
  const auto resume = [&](std::vector<std::string> more) {
    std::vector<std::string> args = {"train",    "blog",       "--out", "r",
                                     "--resume", "--progress", "off"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  };
  expect_error(resume({"--steps", "5"}), 1,
               "data: there is no file or folder '" + path("v").string() +
                   "': the path stands in 'r/config.toml', and --val overrides it");
  const std::string best = read("r/best.safetensors");
  expect_error(resume({"--steps", "5", "--val", ""}), 2,
               "train: val_every is 2: it needs --val or --val-share, or --val-every 0");
  EXPECT_EQ(resume({"--steps", "5", "--val", "", "--val-every", "0"}).code, 0);
  EXPECT_TRUE(read("r/best.safetensors") == best) << "what was best is kept";
  const auto again = resume({"--steps", "6", "--val", "moved", "--val-every", "2"});
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.err, Not(HasSubstr("sought anew")));
}

// The learning rate finds better weights, throws the run far off, and then beyond all numbers.
TEST_F(Validation, OfARunThatFailsLeavesTheBestWeightsOfItsCheckpoint) {
  const std::vector<std::string> slow = {"--out", "r",           "--steps", "10",   "--val",
                                         "v",     "--optimizer", "sgd",     "--lr", "1e-4"};
  ASSERT_EQ(train(slow).code, 0);
  const std::string best = read("r/best.safetensors"), config = read("r/config.toml");
  const auto result = run({"train", "blog", "--out", "r", "--resume", "--steps", "80",
                           "--val-every", "1", "--lr", "0.3", "--progress", "lines"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("the best\n"), HasSubstr("the loss is nan; first of all, "),
                    HasSubstr(": a smaller learning rate may help; the run is as it was before: "
                              "give the command again with a smaller --lr\n")));
  EXPECT_TRUE(read("r/best.safetensors") == best);
  EXPECT_EQ(read("r/config.toml"), config);
}

TEST_F(Validation, SaysThatItsDataAreOthers) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3", "--val", "v"}).code, 0);
  const auto result =
      run({"train", "blog", "--out", "r", "--resume", "--steps", "5", "--val", "d"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("the validation data are others than before: 30 samples, "));
}

TEST_F(Validation, WritesTheBestWeightsAgainWhereTheyAreMissing) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3", "--val", "v"}).code, 0);
  const std::string best = read("r/best.safetensors");
  std::filesystem::remove(path("r/best.safetensors"));
  ASSERT_EQ(run({"train", "blog", "--out", "r", "--resume", "--progress", "off"}).code, 0);
  EXPECT_TRUE(read("r/best.safetensors") == best);
}

TEST_F(Validation, HasAPathThatIsMeantFromAnywhere) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3", "--val", "v"}).code, 0);
  EXPECT_THAT(read("r/config.toml"), HasSubstr("val = '" + path("v").string() + "'"));
  EXPECT_THAT(run({"train", "blog", "--out", "r", "--resume", "--steps", "5"}).err,
              HasSubstr("validation after step 5"));
}

}  // namespace
}  // namespace maskgrad
