// maskgrad train --pack.
#include <sstream>

#include <fmt/format.h>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class TrainPacking : public test::CliTest {
 protected:
  test::CliResult train_aloud(const std::string& pack, const std::string& out) {
    return run({"train", "blog", "--data", "d", "--steps", "1", "--progress", "lines",
                "--batch-size", "20", "--out", out, "--pack", pack});
  }
  // The second column of a step log.
  static std::vector<double> losses_of(const std::string& log) {
    std::vector<double> found;
    std::istringstream lines(log);
    std::string line;
    std::getline(lines, line);  // the header
    while (std::getline(lines, line)) found.push_back(std::stod(line.substr(line.find(',') + 1)));
    return found;
  }
};

TEST_F(TrainPacking, TellsWhatBecomesOfTheFirstBatchAndWhy) {
  const auto chosen = train_aloud("auto", "a"), forced = train_aloud("always", "b");
  EXPECT_THAT(chosen.err, ContainsRegex("step of 20\nfirst batch: embed to reflect pads: 400 "
                                        "positions and [0-9]+ pairs cost [0-9.]+ M "
                                        "multiplications; packed: [0-9]+ positions and [0-9]+ "
                                        "pairs would cost [0-9.]+ M\n\n"));
  EXPECT_THAT(forced.err, ContainsRegex("first batch: embed to reflect packs: [0-9]+ positions and "
                                        "[0-9]+ pairs cost [0-9.]+ M multiplications; padded: 400 "
                                        "positions and "));
  EXPECT_THAT(train_aloud("never", "c").err, Not(HasSubstr("first batch")));
}

TEST_F(TrainPacking, GivesTheLossesOfPaddingAndTheSameAnswers) {
  std::vector<std::vector<double>> losses;
  std::vector<std::string> evaluations, answers;
  for (const std::string pack : {"never", "always"}) {
    const std::string log = pack + ".csv";
    ASSERT_EQ(train({"--out", pack, "--pack", pack, "--steps", "20", "--batch-size", "8", "--dtype",
                     "float64", "--step-log", log})
                  .code,
              0);
    losses.push_back(losses_of(read(log)));
    evaluations.push_back(run({"eval", pack}).out);
    answers.push_back(run({"predict", pack, "x=-12,y=24:y-x", "", "x=1,y=1:x+y"}).out);
    EXPECT_EQ(run({"check", pack}).code, 0);
  }
  ASSERT_EQ(losses[0].size(), 20U);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(losses[0][i], losses[1][i], 1e-9);
  EXPECT_EQ(evaluations[0], evaluations[1]);
  EXPECT_EQ(answers[0], answers[1]);
}

TEST_F(TrainPacking, IsKeptByAResumedRun) {
  const std::vector<std::string> settings = {"--pack", "always", "--batch-size", "4"};
  const auto with = [&](std::vector<std::string> args) {
    args.insert(args.end(), settings.begin(), settings.end());
    return train(args).code;
  };
  ASSERT_EQ(with({"--out", "whole", "--steps", "12"}), 0);
  ASSERT_EQ(with({"--out", "broken", "--steps", "5"}), 0);
  EXPECT_THAT(read("broken/config.toml"), HasSubstr("pack = 'always'"));
  expect_error(train({"--out", "broken", "--resume", "--steps", "12", "--pack", "never"}), 2,
               "the run in 'broken' has pack = 'always': it cannot go on with 'never'");
  ASSERT_EQ(train({"--out", "broken", "--resume", "--steps", "12"}).code, 0);
  EXPECT_EQ(read("whole/model.safetensors"), read("broken/model.safetensors"));
}

TEST_F(TrainPacking, RefusesMasksThatReadPadding) {
  for (const std::string mask : {"query", "none"}) {
    for (const std::string pack : {"auto", "always"}) {
      expect_error(train({"--out", "r", "--mask", mask, "--pack", pack}), 2,
                   fmt::format("--pack {} needs --mask key: with --mask {} the model reads "
                               "padding, and a packed row has none",
                               pack, mask));
    }
    EXPECT_EQ(train({"--out", mask, "--mask", mask, "--pack", "never", "--steps", "1"}).code, 0);
  }
  expect_error(train({"--out", "r", "--pack", "sometimes"}), 2,
               "one of never, auto, always, not 'sometimes'");
  EXPECT_FALSE(exists("r"));
}

}  // namespace
}  // namespace maskgrad
