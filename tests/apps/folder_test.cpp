// Run folders: one run at a time, as they were where nothing was saved, and never another's.
#include <map>

#include <fmt/format.h>

#include <maskgrad/train/formats/digest.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class RunFolder : public test::CliTest {
 protected:
  // Every file below a folder, and a checksum of what it holds; folders count by their names.
  std::map<std::string, std::string> contents(const std::string& name) {
    std::map<std::string, std::string> found;
    if (!exists(name)) return found;
    for (const auto& entry : fs::recursive_directory_iterator(path(name))) {
      const std::string file = entry.path().lexically_relative(path(name)).string();
      found[file] = entry.is_regular_file() ? to_string(digest_of(read(name + "/" + file))) : "";
    }
    return found;
  }
  static std::vector<std::string> arguments(const std::vector<std::string>& more) {
    std::vector<std::string> args = {"train", "blog", "--progress", "off"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  // A run in `r` that has a checkpoint, and does not end by itself.
  test::CliProcess start_endless() {
    run({"data", "arithmetic", "--out", "big", "--shards", "1", "--samples", "400"});
    auto training = start(arguments({"--data", "big", "--out", "r", "--epochs", "100000"}));
    EXPECT_TRUE(training.reaches(path("r/checkpoints/step_000000000200.safetensors")));
    return training;
  }
};

// A learning rate that makes the second step fail.
const std::vector<std::string> kTooFast = {"--lr", "1e8"};

std::vector<std::string> with(std::vector<std::string> args, const std::vector<std::string>& more) {
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

TEST_F(RunFolder, IsAsBeforeWhereARunDivergedBeforeItSavedAnything) {
  fs::create_directories(path("there/logs"));
  write("there/mine.txt", "mine");
  const auto before = contents("there");
  for (const std::vector<std::string>& data : {std::vector<std::string>{"--data", "d"}, {}}) {
    expect_error(run(arguments(with(with(kTooFast, data), {"--out", "a/b"}))), 1,
                 "train: step 1: ");
    EXPECT_FALSE(exists("a"));
    expect_error(run(arguments(with(with(kTooFast, data), {"--out", "there"}))), 1, "step 1: ");
    EXPECT_EQ(contents("there"), before);
  }
  EXPECT_EQ(train({"--out", "there", "--steps", "3"}).code, 0) << "the corrected command";
}

TEST_F(RunFolder, HoldsTheFormerRunUntilTheOneThatReplacesItSavesSomething) {
  ASSERT_EQ(run(arguments({"--out", "r", "--epochs", "1", "--shards", "1"})).code, 0);
  write("r/notes.txt", "mine");
  const auto before = contents("r");
  for (const std::vector<std::string>& data : {std::vector<std::string>{"--data", "d"}, {}}) {
    expect_error(run(arguments(with(with(kTooFast, data), {"--out", "r", "--force"}))), 1,
                 "step 1");
    EXPECT_EQ(contents("r"), before);
  }
  expect_error(run(arguments({"--out", "r", "--force", "--data", "none"})), 1, "'none'");
  EXPECT_EQ(contents("r"), before);
  ASSERT_EQ(train({"--out", "r", "--force", "--steps", "3", "--no-tensorboard"}).code, 0);
  EXPECT_EQ(read("r/notes.txt"), "mine");
  EXPECT_FALSE(exists("r/logs"));
  EXPECT_FALSE(exists("r/.before"));
}

TEST_F(RunFolder, IsAsBeforeWhereARunThatGoesOnDivergesBeforeItSavedAnything) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "2", "--steps", "50", "--no-tensorboard"}).code, 0);
  const auto before = contents("r");
  for (const char* lr : {"1e8", "1e30", "1e300"}) {
    const auto result = train({"--out", "r", "--resume", "--steps", "80", "--lr", lr});
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(
        result.err,
        AllOf(HasSubstr("from step 51 on: lr: 0.001 -> 1"), HasSubstr("\nmaskgrad: train: step 5"),
              EndsWith(": a smaller learning rate may help; the run is as it was before: "
                       "give the command again with a smaller --lr\n")));
    EXPECT_EQ(contents("r"), before);
  }
  EXPECT_EQ(train({"--out", "r", "--resume"}).code, 0) << "with the settings it had";
  EXPECT_EQ(train({"--out", "r", "--resume", "--steps", "80", "--lr", "0.01"}).code, 0);
}

TEST_F(RunFolder, KeepsItsCheckpointsWhereARunDivergesLaterAndSaysHowToGoOn) {
  const auto result = train(
      {"--out", "r", "--epochs", "9", "--optimizer", "sgd", "--momentum", "1.5", "--lr", "1e-9"});
  expect_error(result, 1,
               ": a smaller learning rate may help; the last checkpoint is kept, go on with a "
               "smaller --lr: maskgrad train blog --out r --resume --lr 1e-10");
  ASSERT_TRUE(exists("r/checkpoints/step_000000000040.safetensors"));
  EXPECT_EQ(run({"train", "blog", "--out", "r", "--resume", "--lr", "1e-10", "--momentum", "0",
                 "--progress", "off"})
                .code,
            0);
}

TEST_F(RunFolder, IsOneWordInTheCommandThatGoesOn) {
  ASSERT_EQ(train({"--out", "it's mine", "--epochs", "1"}).code, 0);
  EXPECT_THAT(
      train({"--out", "it's mine", "--resume", "--epochs", "2"}, {.file_limit = 100000}).err,
      HasSubstr("; the last checkpoint is kept, go on with: maskgrad train blog --out "
                "'it'\\''s mine' --resume\n"));
}

TEST_F(RunFolder, TakesNoLogOrReportInPlaceOfARunsOwnFiles) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  std::filesystem::create_directory_symlink(path("r"), path("link"));
  const auto before = contents("r");
  for (const std::string file : {"config.toml", "epochs.csv", "validation.csv", "model.safetensors",
                                 "checkpoints/step_000000000040.safetensors", "logs/x", "data/y"}) {
    for (const std::string folder : {"r", "link", "./r/../r"}) {
      const std::string text = "'" + folder + "/" + file + "' belongs to the run itself: choose";
      expect_error(run({"report", "r", "--out", folder + "/" + file}), 2, text);
      for (const char* way : {"--resume", "--force"}) {
        expect_error(train({"--out", "r", way, "--step-log", folder + "/" + file}), 2, text);
      }
      EXPECT_EQ(contents("r"), before);
    }
    expect_error(train({"--out", "new", "--step-log", "new/" + file}), 2, "belongs to the run");
    EXPECT_FALSE(exists("new"));
  }
  EXPECT_EQ(train({"--out", "new", "--steps", "2", "--step-log", "new/steps.csv"}).code, 0);
  EXPECT_EQ(run({"report", "new", "--out", "new/report.html"}).code, 0);
  EXPECT_EQ(run({"report", "new", "--out", "new/other.html"}).code, 0);
}

// By commands that were given no run, or another one.
TEST_F(RunFolder, KeepsItsFilesWhateverWritesElsewhere) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3"}).code, 0);
  ASSERT_EQ(train({"--out", "other", "--steps", "3"}).code, 0);
  ASSERT_EQ(run({"ops", "relu", "--sample", "x.safetensors"}).code, 0);
  const std::string checkpoint = "r/checkpoints/step_0000000003.safetensors";
  for (const std::string& file : {std::string("r/config.toml"), std::string("r/model.safetensors"),
                                  std::string("r/data/shard_0000.tfrecords"), checkpoint}) {
    const std::vector<std::vector<std::string>> commands = {
        {"ops", "--json", file},
        {"ops", "relu", "--sample", file},
        {"run-op", "relu", "--in", "x.safetensors", "--out", file},
        {"bench", "op-overhead", "--json", file},
        {"eval", "other", "--json", file},
        {"report", "other", "--out", file},
        {"explain", "other", "x=1,y=2:x+y", "--json", file}};
    for (const std::vector<std::string>& command : commands) {
      expect_error(run(command), 2, "'" + file + "' belongs to the run itself: choose");
    }
  }
  expect_error(run({"data", "arithmetic", "--out", "r/data", "--force"}), 2,
               "belongs to the run itself");
  EXPECT_EQ(run({"ops", "--json", "r/ops.json"}).code, 0) << "a file that no run has";
}

TEST_F(RunFolder, KeepsItsFilesFromCommandsThatAreRunInIt) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3"}).code, 0);
  const auto ops = [&](const std::string& folder, const std::string& file) {
    return run({"ops", "--json", file}, {.folder = folder});
  };
  EXPECT_EQ(ops("r", "ops.json").code, 0) << "a file that no run has";
  expect_error(ops("r", "config.toml"), 2, "'config.toml' belongs to the run itself: choose");
  expect_error(ops("r/checkpoints", "step_0000009999.safetensors"), 2, "belongs to the run itself");
}

TEST_F(RunFolder, IsTidiedUpByTheNextRunWhereOneWasKilledBeforeItSavedAnything) {
  ASSERT_EQ(run({"data", "arithmetic", "--out", "big", "--shards", "1", "--samples", "4000"}).code,
            0);
  ASSERT_EQ(run(arguments({"--out", "old", "--epochs", "1", "--shards", "1"})).code, 0);
  const auto before = contents("old");
  for (int i = 0; i < 6; ++i) {
    const auto interval = std::chrono::milliseconds(5 * i);
    for (const auto& [folder, more] :
         {std::pair<std::string, std::string>{"new", "--no-shuffle"}, {"old", "--force"}}) {
      auto killed =
          start(arguments({"--out", folder, more, "--epochs", "100", "--batch-size", "1"}));
      std::this_thread::sleep_for(interval);
      killed.signal(SIGKILL);
      killed.wait();
    }
    // Whatever the former command left: a run that is refused leaves nothing behind, and the old
    // run is whole again.
    expect_error(train({"--out", "new", "--lr", "1e30"}), 1, "step ");
    EXPECT_TRUE(contents("new").empty()) << i;
    expect_error(train({"--out", "old"}), 2, "'old' holds a run already");
    EXPECT_EQ(contents("old"), before) << i;
  }
}

// As a process leaves it that dies before the new run has settings.
TEST_F(RunFolder, WhoseFormerRunWasPutAsideCanBeResumed) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const std::string model = read("r/model.safetensors");
  std::filesystem::rename(path("r"), path("former"));
  std::filesystem::create_directory(path("r"));
  std::filesystem::rename(path("former"), path("r/.before"));
  expect_error(run({"inspect", "r"}), 1, "a run that was to be replaced is in it");
  EXPECT_EQ(train({"--out", "r", "--resume"}).code, 0);
  EXPECT_TRUE(read("r/model.safetensors") == model);
  EXPECT_FALSE(exists("r/.before"));
}

TEST_F(RunFolder, TakesNoOtherFileForAStepLog) {
  write("notes.txt", "my notes, which are long");
  for (const char* file : {"notes.txt", "d/shard_0000.tfrecords"}) {
    const std::string held = read(file);
    expect_error(train({"--out", "r", "--epochs", "1", "--step-log", file}), 1,
                 std::string("'") + file + "' is there already, and is no step log");
    EXPECT_EQ(read(file), held);
    EXPECT_FALSE(exists("r"));
  }
  write("empty.csv", "");
  EXPECT_EQ(train({"--out", "r", "--steps", "1", "--step-log", "empty.csv"}).code, 0);
  EXPECT_EQ(train({"--out", "s", "--steps", "1", "--step-log", "empty.csv"}).code, 0)
      << "it is a step log now";
}

TEST_F(RunFolder, OfARunThatWasKilledEarlyCanBeResumedFromItsStart) {
  const std::vector<std::string> args = arguments({"--data", "d", "--out", "r", "--epochs", "3"});
  ASSERT_EQ(train({"--out", "whole", "--epochs", "3"}).code, 0);
  auto killed = start(with(args, {"--minutes", "1"}));
  ASSERT_TRUE(killed.reaches(path("r/config.toml")));
  killed.signal(SIGSTOP);
  const bool saved = !fs::is_empty(path("r/checkpoints"));
  killed.signal(SIGKILL);
  killed.wait();
  const auto result = run({"train", "blog", "--out", "r", "--resume", "--progress", "off"});
  EXPECT_EQ(result.code, 0);
  if (!saved) {
    EXPECT_THAT(result.err, HasSubstr("the run in 'r' was broken off before it saved anything: it "
                                      "starts anew"));
  }
  EXPECT_FALSE(exists("r/.before"));
}

// Two runs of other data on one new folder: one of them has it, whole, and the other has changed
// nothing of it. Sometimes one is killed.
TEST_F(RunFolder, BelongsToOneOfTwoRunsThatAreStartedTogether) {
  ASSERT_EQ(
      run({"data", "arithmetic", "--out", "e", "--shards", "2", "--samples", "40", "--seed", "1"})
          .code,
      0);
  std::map<std::string, std::string> models;
  for (const std::string data : {"d", "e"}) {
    ASSERT_EQ(run(arguments({"--data", data, "--out", "of_" + data, "--epochs", "1"})).code, 0);
    models[data] = to_string(digest_of(read("of_" + data + "/model.safetensors")));
  }
  for (int i = 0; i < 24; ++i) {
    const std::string folder = fmt::format("both{}/r", i);
    // The second may fail: then it must not take the first one's folder with it.
    const bool fails = i % 3 == 1;
    auto first = start(arguments({"--data", "d", "--out", folder, "--epochs", "1"}));
    auto second = start(arguments(
        {"--data", "e", "--out", folder, "--epochs", "1", "--lr", fails ? "1e30" : "0.001"}));
    if (i % 4 == 3) {
      std::this_thread::sleep_for(std::chrono::milliseconds(i));
      second.signal(SIGKILL);
    }
    const auto a = first.wait(), b = second.wait();
    ASSERT_FALSE(a.code == 0 && b.code == 0) << "both say that they trained in " << folder;
    for (const auto& [result, data] : {std::pair(a, "d"), {b, "e"}}) {
      if (result.code == 0) {
        EXPECT_EQ(to_string(digest_of(read(folder + "/model.safetensors"))), models[data]);
        EXPECT_TRUE(exists(folder + "/checkpoints/step_000000000040.safetensors"));
      } else if (result.code < 128) {
        EXPECT_THAT(result.err,
                    ::testing::AnyOf(HasSubstr("another run is training in"),
                                     HasSubstr("holds a run already"), HasSubstr("step ")));
      }
    }
    // Whatever was left, the next command finds a folder that it can use.
    EXPECT_EQ(run(arguments({"--data", "d", "--out", folder, "--steps", "1", "--force"})).code, 0);
  }
}

TEST_F(RunFolder, ThatWasMovedAwayIsNotWrittenIntoWhereAnotherStandsNow) {
  auto training = start_endless();
  training.signal(SIGSTOP);
  fs::rename(path("r"), path("moved"));
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const auto before = contents("r");
  training.signal(SIGCONT);
  expect_error(training.wait(), 1,
               "train: 'r' was moved, removed or replaced while the run was in it");
  EXPECT_EQ(contents("r"), before);
  const auto resumed = run({"train", "blog", "--out", "moved", "--resume", "--steps", "1"});
  EXPECT_THAT(resumed.err, HasSubstr("steps already, and these settings end at 1"))
      << "the moved run is one still";
}

TEST_F(RunFolder, ThatIsRemovedEndsItsRun) {
  auto training = start_endless();
  training.signal(SIGSTOP);
  fs::rename(path("r"), path("gone"));
  fs::remove_all(path("gone"));
  training.signal(SIGCONT);
  const auto result = training.wait();
  EXPECT_EQ(result.code, 1);
  // The latter where it was stopped just before it wrote.
  EXPECT_THAT(result.err, ::testing::AnyOf(HasSubstr("train: 'r' was moved, removed or replaced"),
                                           HasSubstr(" 'r/")));
  EXPECT_FALSE(exists("r"));
}

TEST_F(RunFolder, IsRidOfTheFilesThatDeadProcessesLeft) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const std::vector<std::string> dead = {"r/config.toml.tmp.4194304",
                                         "r/checkpoints/step_000000000080.safetensors.tmp.4194304"};
  for (const std::string& file : dead) write(file, "half");
  write("r/notes.tmp.4194304", "mine");
  ASSERT_EQ(train({"--out", "r", "--resume", "--epochs", "2"}).code, 0);
  for (const std::string& file : dead) EXPECT_FALSE(exists(file)) << file;
  EXPECT_TRUE(exists("r/notes.tmp.4194304")) << "no run wrote it";
}

TEST_F(RunFolder, WithANameThatTheSystemRefusesIsNamed) {
  const std::string name(300, 'x');
  expect_error(train({"--out", name}), 1,
               "cannot create folder '" + name + "': File name too long");
  expect_error(run({"eval", name}), 1, "is no run folder: it has no config.toml");
  expect_error(run({"report", name}), 1, "cannot read folder");
  expect_error(train({"--out", "/proc/r"}), 1,
               "cannot create folder '/proc/r': No such file or directory");
}

}  // namespace
}  // namespace maskgrad
