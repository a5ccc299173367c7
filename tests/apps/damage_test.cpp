// Files that were damaged, cut, exchanged or are none: the program says so in one line, or goes on
// with what is sound, and never with other numbers.
#include <sys/stat.h>

#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::test_data;
using ::testing::HasSubstr;

std::string flipped(std::string bytes, std::size_t bit) {
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
  return bytes;
}

class Damage : public test::CliTest {
 protected:
  // A run of one epoch that was interrupted in its second, at a step that differs from time to
  // time.
  void train_and_stop(const std::string& out) {
    auto training = start({"train", "blog", "--data", "d", "--progress", "off", "--out", out,
                           "--batch-size", "2", "--epochs", "50", "--step-log", "steps.csv"});
    ASSERT_TRUE(training.reaches(path(out + "/checkpoints/step_000000000040.safetensors")));
    training.signal(SIGINT);
    ASSERT_EQ(training.wait().code, 130);
  }
  test::CliResult resume(const std::string& out) {
    return train({"--out", out, "--resume", "--epochs", "50", "--step-log", "steps.csv"});
  }
  std::vector<std::string> checkpoints(const std::string& out) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path(out + "/checkpoints"))) {
      names.push_back(out + "/checkpoints/" + entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

TEST_F(Damage, NoModelWithAFlippedBitAnswers) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const std::string model = read("r/model.safetensors");
  for (std::size_t bit = 3; bit < model.size() * 8; bit += model.size() * 8 / 40) {
    write("r/model.safetensors", flipped(model, bit));
    expect_error(run({"predict", "r", "x=1,y=2:x+y"}), 1, "'r/model.safetensors'");
  }
  write("r/model.safetensors", flipped(model, model.size() * 8 - 3));
  expect_error(train({"--out", "q", "--init", "r/model.safetensors"}), 1,
               "its bytes do not match its digest: the file is damaged");
}

TEST_F(Damage, ARunGoesOnFromTheNewestSoundCheckpointWithAWord) {
  train_and_stop("r");
  const auto names = checkpoints("r");
  ASSERT_GE(names.size(), 2U);
  write(names.back(), flipped(read(names.back()), 8 * 100'000));
  const auto result = resume("r");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("'" + names.back() +
                                    "': its bytes do not match its digest: the file is damaged; "
                                    "taking the checkpoint before it\n"));
  ASSERT_EQ(
      train({"--out", "whole", "--epochs", "50", "--batch-size", "2", "--step-log", "whole.csv"})
          .code,
      0);
  EXPECT_EQ(read("steps.csv"), read("whole.csv")) << "the run lost nothing by it";
  EXPECT_EQ(read("r/model.safetensors"), read("whole/model.safetensors"));
}

TEST_F(Damage, ADamagedLogIsNamedBeforeTrainingAndStaysAsItIs) {
  train_and_stop("r");
  const std::string steps = read("steps.csv"), epochs = read("r/epochs.csv");
  const std::size_t middle = steps.find('\n', steps.size() / 2) + 1;
  for (const std::string& damaged :
       {flipped(steps, 8 * middle + 24), steps.substr(0, middle), steps.substr(0, middle + 1),
        steps.substr(0, middle) + steps.substr(steps.find('\n', middle) + 1), std::string("5")}) {
    write("steps.csv", damaged);
    expect_error(resume("r"), 1, "step_log: 'steps.csv'");
    EXPECT_EQ(read("steps.csv"), damaged);
  }
  write("steps.csv", steps);
  for (const std::string& damaged :
       {flipped(epochs, 8 * epochs.size() - 64), epochs.substr(0, epochs.size() - 5),
        epochs.substr(0, epochs.find('\n') + 1)}) {
    write("r/epochs.csv", damaged);
    expect_error(resume("r"), 1, "epochs: 'r/epochs.csv'");
    EXPECT_EQ(read("r/epochs.csv"), damaged);
  }
  EXPECT_EQ(read("steps.csv").substr(0, middle), steps.substr(0, middle));
}

TEST_F(Damage, ATornEventFileEndsNoRun) {
  train_and_stop("r");
  for (const auto& events : fs::directory_iterator(path("r/logs"))) {
    fs::resize_file(events.path(), fs::file_size(events.path()) - 7);
  }
  const auto result = resume("r");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(read("r/report.html"),
              HasSubstr("truncated in its data: the events from there on are "
                        "left out"));
}

TEST_F(Damage, ACutConfigurationIsRefused) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const std::string config = read("r/config.toml");
  for (std::size_t size = 0; size < config.size(); size += 37) {
    write("r/config.toml", config.substr(0, size));
    const auto result = train({"--out", "r", "--resume", "--epochs", "2"});
    EXPECT_NE(result.code, 0) << size;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }
}

// What is left may be the settings of a program's own run, which have no others.
TEST_F(Damage, AConfigurationWithoutTheSettingsOfItsRecipeIsRefusedByEveryCommand) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const std::string config = read("r/config.toml");
  write("r/config.toml", config.substr(0, config.find("\nmask = ") + 1));
  for (const char* command : {"eval", "inspect", "report", "check"}) {
    expect_error(run({command, "r"}), 1, "r/config.toml: 'mask' is missing: the file is damaged");
  }
  std::filesystem::remove_all(path("r/checkpoints"));  // the model knows its settings, too
  for (const char* command : {"eval", "inspect", "report", "check"}) {
    expect_error(run({command, "r"}), 1, "r/config.toml: 'mask' is missing: the file is damaged");
  }
}

TEST_F(Damage, ShardsThatAreNotTheOnesThatWereWrittenAreRefused) {
  ASSERT_EQ(run({"data", "arithmetic", "--out", "e", "--shards", "3", "--samples", "20"}).code, 0);
  const std::string shard = read("e/shard_0001.tfrecords");
  write("e/shard_0001.tfrecords", "");
  expect_error(run({"train", "blog", "--data", "e", "--shards", "3", "--out", "r"}), 1,
               "data: 'e/shard_0001.tfrecords' has 0 bytes, and had ");
  fs::remove(path("e/shard_0001.tfrecords"));
  expect_error(run({"train", "blog", "--data", "e", "--shards", "2", "--out", "r"}), 1,
               "data: 'e/shard_0001.tfrecords' is missing");
  write("e/shard_0001.tfrecords", shard);
  EXPECT_EQ(run({"train", "blog", "--data", "e", "--shards", "3", "--out", "r", "--epochs", "1",
                 "--progress", "off"})
                .code,
            0);
}

TEST_F(Damage, WhatIsNoRegularFileIsRefusedAtOnce) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  for (const std::string file : {"/dev/zero", "pipe", "/dev/full"}) {
    const std::string text = "cannot read '" + file + "': it is no regular file";
    expect_error(train({"--out", "r", "--init", file}), 1, text);
    expect_error(train({"--out", "r", "--config", file}), 2, text);
    expect_error(run({"run-op", "add", "--in", file, "--out", "o"}), 1, text);
    expect_error(run({"inspect", file}), 1, text);
  }
  expect_error(train({"--out", "r", "--init", "d"}), 1, "cannot read 'd': Is a directory");
  write("large", "");
  fs::resize_file(path("large"), std::uintmax_t{1} << 40);
  expect_error(train({"--out", "r", "--init", "large"}), 1, "'large': header byte 0");
  expect_error(train({"--out", "r", "--config", "large"}), 2, "it has more than 1048576 bytes");
  EXPECT_FALSE(exists("r"));
}

TEST_F(Damage, SettingsThatNestWithoutEndAreRefused) {
  std::string deep;
  for (int i = 0; i < 50000; ++i) deep += "a.";
  write("c.toml", deep + "a = 1\n");
  expect_error(train({"--out", "r", "--config", "c.toml"}), 2,
               "config: c.toml: line 1: nested too deeply");
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  write("r/config.toml", deep + "a = 1\n");
  expect_error(run({"predict", "r", "x=1,y=2:x+y"}), 1, "config.toml: line 1: nested too deeply");
}

TEST_F(Damage, PathsOfAnyBytesSurvive) {
  const std::string data = "d\xff\n'\"\x1b$\xc3", out = "r\xfe\t\\";
  ASSERT_EQ(run({"data", "arithmetic", "--out", data, "--shards", "2", "--samples", "40"}).code, 0);
  const std::vector<std::string> args = {"train",      "blog", "--data", data,
                                         "--progress", "off",  "--out",  out};
  auto more = [&](std::vector<std::string> rest) {
    rest.insert(rest.begin(), args.begin(), args.end());
    return run(rest);
  };
  const auto trained = more({"--epochs", "1"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_THAT(trained.out,
              HasSubstr("\nrun        r\\xfe\\t\\\nreport     r\\xfe\\t\\/report.html\n"));
  const auto resumed =
      run({"train", "blog", "--out", out, "--progress", "off", "--resume", "--epochs", "2"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(run({"eval", out}).code, 0) << "the data are found under the name in config.toml";
  const std::string config = read(out + "/config.toml");
  EXPECT_THAT(config, HasSubstr("/d\\uefff\\n'\\\"\\u001b$\\uefc3\""));
  expect_error(run({"inspect", out + "/none"}), 1, "cannot open 'r\\xfe\\t\\/none'");
}

// The run that the first version wrote.
TEST_F(Damage, ARunOfTheFirstVersionSaysWhatToDo) {
  fs::copy(test_data("golden") / "v1" / "run", path("r"), fs::copy_options::recursive);
  const auto refused = run({"predict", "r", "x=1,y=2:x+y"});
  expect_error(refused, 1, "if its settings are right, add the line: version = 1");
  write("r/config.toml", "version = 1\n" + read("r/config.toml"));
  EXPECT_EQ(run({"predict", "r", "x=1,y=2:x+y"}).code, 0);
  EXPECT_EQ(run({"report", "r"}).code, 0);
  EXPECT_THAT(run({"inspect", "r"}).out, HasSubstr("embed.weight"));
}

}  // namespace
}  // namespace maskgrad
