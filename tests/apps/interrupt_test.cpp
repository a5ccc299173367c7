// Runs that are stopped and go on: exactly the run that was never stopped.
#include <iterator>
#include <regex>
#include <sstream>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;

class Interrupt : public test::CliTest {
 protected:
  // Epochs of 400 steps.
  void SetUp() override {
    ASSERT_EQ(run({"data", "arithmetic", "--out", "d", "--shards", "2", "--samples", "400"}).code,
              0);
  }
  static std::vector<std::string> arguments(const std::string& name) {
    return {"train",  "blog", "--data",     "d",   "--shuffle",  "--epochs",   "9", "--out", name,
            "--seed", "2",    "--progress", "off", "--step-log", name + ".csv"};
  }
  test::CliResult resume(const std::string& name) {
    return run({"train", "blog", "--out", name, "--resume", "--step-log", name + ".csv",
                "--progress", "off"});
  }
  // Sends the signal once the first epoch is over.
  test::CliResult stopped(const std::string& name, int signal) {
    test::CliProcess training = start(arguments(name));
    EXPECT_TRUE(training.reaches(path(name + "/checkpoints/step_000000000400.safetensors")));
    training.signal(signal);
    return training.wait();
  }
  std::vector<std::string> epochs(const std::string& name) {
    std::istringstream file(read(name + "/epochs.csv"));
    std::vector<std::string> rows;
    for (std::string line; std::getline(file, line);)
      rows.push_back(line.substr(0, line.rfind(',')));
    return rows;
  }
  void expect_same_run(const std::string& a, const std::string& b) {
    EXPECT_EQ(read(a + ".csv"), read(b + ".csv"));
    EXPECT_EQ(read(a + "/model.safetensors"), read(b + "/model.safetensors"));
    EXPECT_EQ(read(a + "/config.toml"), read(b + "/config.toml"));
    EXPECT_EQ(epochs(a), epochs(b));
  }
};

TEST_F(Interrupt, AStoppedRunGoesOnAsIfItHadNotBeen) {
  ASSERT_EQ(run(arguments("whole")).code, 0);
  for (const auto& [signal, code] : {std::pair(SIGINT, 130), {SIGTERM, 143}, {SIGHUP, 129}}) {
    const std::string name = "stopped" + std::to_string(code);
    const test::CliResult result = stopped(name, signal);
    EXPECT_EQ(result.code, code);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, "maskgrad: interrupted; go on with: maskgrad train blog --out " + name +
                              " --resume\n");
    EXPECT_FALSE(exists(name + "/model.safetensors"));
    ASSERT_EQ(resume(name).code, 0);
    expect_same_run(name, "whole");
  }
}

TEST_F(Interrupt, AStoppedRunIsUsedOnceTheCommandThatTheErrorNamesHasEndedIt) {
  ASSERT_EQ(stopped("s", SIGINT).code, 130);
  for (const char* command : {"predict", "explain", "report"}) {
    std::vector<std::string> call = {command, "s"};
    if (command != std::string("report")) call.emplace_back("x=1,y=2:x+y");
    const test::CliResult result = run(call);
    EXPECT_EQ(result.code, 1);
    std::smatch found;
    ASSERT_TRUE(std::regex_search(
        result.err, found,
        std::regex("; end it as it is with: maskgrad (train blog --out s --resume --steps [0-9]+); "
                   "go on with: maskgrad train blog --out s --resume\n")))
        << result.err;
    std::istringstream words(found[1].str());
    const std::vector<std::string> end(std::istream_iterator<std::string>(words), {});
    const test::CliResult ended = run(end);
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_EQ(run(call).code, 0);
    std::filesystem::remove(path("s/model.safetensors"));
  }
}

TEST_F(Interrupt, AKilledRunGoesOnFromItsLastCheckpoint) {
  ASSERT_EQ(run(arguments("whole")).code, 0);
  ASSERT_EQ(stopped("killed", SIGKILL).code, 128 + SIGKILL);
  ASSERT_EQ(resume("killed").code, 0);
  expect_same_run("killed", "whole");
}

TEST_F(Interrupt, AKilledRunGoesOnFromACheckpointWithinAnEpoch) {
  ASSERT_EQ(run(arguments("whole")).code, 0);
  std::vector<std::string> often = arguments("killed");
  often.insert(often.end(), {"--checkpoint-every", "300"});
  test::CliProcess training = start(often);
  ASSERT_TRUE(training.reaches(path("killed/checkpoints/step_000000000300.safetensors")));
  training.signal(SIGKILL);
  ASSERT_EQ(training.wait().code, 128 + SIGKILL);
  ASSERT_EQ(resume("killed").code, 0);
  EXPECT_EQ(read("killed.csv"), read("whole.csv"));
  EXPECT_EQ(read("killed/model.safetensors"), read("whole/model.safetensors"))
      << "how often a run saves is no part of what it gives";
  EXPECT_EQ(epochs("killed"), epochs("whole"));
}

TEST_F(Interrupt, ARunCanBeStoppedAgainAndAgain) {
  ASSERT_EQ(run(arguments("whole")).code, 0);
  ASSERT_EQ(stopped("often", SIGINT).code, 130);
  for (int i = 0; i < 3; ++i) {
    auto training = start({"train", "blog", "--out", "often", "--resume", "--step-log", "often.csv",
                           "--progress", "off"});
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    training.signal(SIGTERM);
    const int code = training.wait().code;
    ASSERT_TRUE(code == 143 || code == 0 || code == 128 + SIGTERM) << code;
  }
  ASSERT_EQ(resume("often").code, 0);
  expect_same_run("often", "whole");
}

TEST_F(Interrupt, NobodyElseTrainsInTheFolderMeanwhile) {
  test::CliProcess training = start(arguments("r"));
  ASSERT_TRUE(training.reaches(path("r/config.toml")));
  expect_error(resume("r"), 1, "another run is training in 'r'");
  expect_error(train({"--out", "r", "--force"}), 1, "another run is training in 'r'");
  training.signal(SIGINT);
  training.wait();
}

TEST_F(Interrupt, ResumingNeedsARunAndTheSameSettings) {
  expect_error(train({"--out", "r", "--resume"}), 2, "there is no run in 'r' to resume");
  ASSERT_EQ(train({"--out", "r", "--epochs", "2"}).code, 0);
  expect_error(train({"--out", "r", "--resume", "--batch-size", "4"}), 2,
               "the run in 'r' has batch_size = 2: it cannot go on with 4");
  expect_error(train({"--out", "r", "--resume", "--epochs", "1"}), 2,
               "has 800 steps already, and these settings end at 400");
  EXPECT_THAT(run({"train", "blog", "--out", "r", "--resume"}).err,
              HasSubstr("has all its steps already; --epochs asks for more"));
  ASSERT_EQ(train({"--out", "s", "--steps", "5"}).code, 0);
  EXPECT_THAT(run({"train", "blog", "--out", "s", "--resume", "--epochs", "4"}).err,
              HasSubstr("it ends at steps = 5. --steps asks for more, and --steps 0 for all"));
}

TEST_F(Interrupt, ResumingWithMoreEpochsIsTheLongerRun) {
  ASSERT_EQ(train({"--out", "long", "--epochs", "3", "--step-log", "long.csv"}).code, 0);
  ASSERT_EQ(train({"--out", "grown", "--epochs", "1", "--step-log", "grown.csv"}).code, 0);
  ASSERT_EQ(train({"--out", "grown", "--epochs", "3", "--step-log", "grown.csv", "--resume"}).code,
            0);
  expect_same_run("long", "grown");
}

TEST_F(Interrupt, ADamagedCheckpointIsNamed) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const std::string name = "r/checkpoints/step_000000000400.safetensors";
  write(name, read(name).substr(0, 1000));
  const std::string model = read("r/model.safetensors");
  expect_error(train({"--out", "r", "--epochs", "2", "--resume"}), 1, "checkpoint: '" + name + "'");
  EXPECT_EQ(read("r/model.safetensors"), model);
}

}  // namespace
}  // namespace maskgrad
