#include <charconv>
#include <csignal>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <maskgrad/train/callbacks/run_logs.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Notes;
using test::ScratchFolder;
using test::ToyRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

void overwrite(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::remove(path);
  std::ofstream(path) << text;
}

TEST(StepLog, WritesEachLossSoThatItReadsBackExactly) {
  const ScratchFolder folder;
  overwrite(folder / "steps.csv", "step,loss\n0,1\n7,an older run's\n");
  ToyRun toy({.training = {.epochs = 2}});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<StepLog>(folder / "steps.csv"));
  toy.trainer->add(std::make_unique<Notes>(kept));
  toy.run();
  std::ifstream file(folder / "steps.csv");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "step,loss");
  for (std::size_t i = 0; i < kept.losses.size(); ++i) {
    ASSERT_TRUE(std::getline(file, line));
    const auto comma = line.find(',');
    EXPECT_EQ(line.substr(0, comma), std::to_string(i));
    EXPECT_EQ(std::stod(line.substr(comma + 1)), kept.losses[i]);
  }
  EXPECT_FALSE(std::getline(file, line));
}

TEST(EpochLog, WritesTheMeansOfEachEpoch) {
  const ScratchFolder folder;
  overwrite(folder / "epochs.csv", "an older run's\n");
  ToyRun toy({.training = {.epochs = 3}});
  Notes::Kept kept;
  toy.trainer->add(std::make_unique<EpochLog>(folder / "epochs.csv"));
  toy.trainer->add(std::make_unique<Notes>(kept));
  toy.run();
  EXPECT_THAT(read_file(folder / "epochs.csv"),
              StartsWith("epoch,steps,loss,accuracy,seconds\n1,"));
  const std::vector<EpochRow> rows = read_epochs(folder / "epochs.csv");
  ASSERT_EQ(rows.size(), 3U);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), 5U);
    EXPECT_EQ(rows[i][0], std::make_pair(std::string("epoch"), static_cast<double>(i + 1)));
    EXPECT_EQ(rows[i][1], std::make_pair(std::string("steps"), 3.0 * static_cast<double>(i + 1)));
    EXPECT_EQ(rows[i][2], std::make_pair(std::string("loss"), kept.epoch_losses[i]));
    EXPECT_EQ(rows[i][3].first, "accuracy");
    EXPECT_EQ(rows[i][4].first, "seconds");
  }
}

TEST(EpochLog, HasNoRowForAnEpochThatAStepLimitCutShort) {
  for (const std::int64_t steps : {1, 2, 4, 5}) {
    const ScratchFolder folder;
    ToyRun toy({.training = {.epochs = 3, .max_steps = steps}});
    toy.trainer->add(std::make_unique<EpochLog>(folder / "epochs.csv"));
    toy.run();
    EXPECT_THAT(read_file(folder / "epochs.csv"),
                StartsWith("epoch,steps,loss,accuracy,seconds\n"));
    EXPECT_EQ(std::ssize(read_epochs(folder / "epochs.csv")), steps / 3);
  }
}

TEST(EpochLog, KeepsMetricsOfAnyName) {
  const ScratchFolder folder;
  const std::vector<std::string> names = {"val/loss", "a,b", "say \"x\"", "two\nlines", "a=b;c"};
  const test::ToyModel model = [&](ToyRun&, const Batch&, Pass&) {
    ModelOutput output{{Variable(Tensor::full({}, 1, DType::kFloat64)), 0}, {}};
    for (const std::string& name : names) output.metrics.push_back({name, 0.5, 1});
    return output;
  };
  ToyRun toy({.training = {.epochs = 2}}, model);
  toy.trainer->add(std::make_unique<EpochLog>(folder / "epochs.csv"));
  toy.run();
  const std::vector<EpochRow> rows = read_epochs(folder / "epochs.csv");
  ASSERT_EQ(rows.size(), 2U);
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(rows[1][3 + i], std::make_pair(names[i], 0.5));
  }
}

// A run of three steps an epoch with both logs, and a run that goes on from it.
class LogsOfARunThatGoesOn : public ::testing::Test {
 protected:
  LogsOfARunThatGoesOn() {
    ToyRun toy({.training = {.epochs = 4}});
    std::atomic<bool> stop = false;
    Notes::Kept kept;
    add_logs(toy, {});
    toy.trainer->add(std::make_unique<Notes>(kept, [&](auto& step) { stop = step.step == 7; }));
    toy.run(stop);
    notes_ = toy.trainer->notes();
    state_ = toy.trainer->state();
    steps_ = read_file(folder_ / "steps.csv");
    epochs_ = read_file(folder_ / "epochs.csv");
  }

  void add_logs(ToyRun& toy, const maskgrad::Notes& resumed) {
    const LogOrigin origin{resumed, [&](const std::string& text) { warnings_.push_back(text); }};
    toy.trainer->add(std::make_unique<StepLog>(folder_ / "steps.csv", origin));
    toy.trainer->add(std::make_unique<EpochLog>(folder_ / "epochs.csv", origin));
  }
  // The error of going on with these files, called by their names alone. Nothing may have changed.
  std::string going_on(const std::string& steps, const std::string& epochs,
                       bool with_notes = true) {
    overwrite(folder_ / "steps.csv", steps);
    overwrite(folder_ / "epochs.csv", epochs);
    ToyRun toy({.training = {.epochs = 4}}, {}, [&](ToyRun&) { return state_; });
    add_logs(toy, with_notes ? notes_ : maskgrad::Notes{});
    std::string error = error_of([&] { toy.run(true); });
    if (error != "no error") {
      EXPECT_EQ(read_file(folder_ / "steps.csv"), steps);
      EXPECT_EQ(read_file(folder_ / "epochs.csv"), epochs);
      EXPECT_EQ(folder_.count(), 2);
    }
    const std::string place = folder_.path().string() + "/";
    const std::size_t at = error.find(place);
    return at == std::string::npos ? error : error.erase(at, place.size());
  }

  ScratchFolder folder_;
  maskgrad::Notes notes_;
  TrainState state_;
  std::string steps_, epochs_;
  std::vector<std::string> warnings_;
};

TEST_F(LogsOfARunThatGoesOn, AreVouchedForUpToTheCheckpoint) {
  ASSERT_EQ(state_.step, 8);
  EXPECT_EQ(notes_.at(kStepLogNote), to_string(digest_of(steps_)));
  EXPECT_EQ(notes_.at(kEpochsNote), to_string(digest_of(epochs_)));
  EXPECT_EQ(going_on(steps_, epochs_), "no error");
  EXPECT_THAT(warnings_, ::testing::IsEmpty());
}

TEST_F(LogsOfARunThatGoesOn, NoticeEveryFlippedBit) {
  const auto flipped = [](std::string text, std::size_t bit) {
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ 1 << bit % 8);
    return text;
  };
  for (std::size_t bit = 0; bit < steps_.size() * 8; bit += 3) {
    EXPECT_NE(going_on(flipped(steps_, bit), epochs_), "no error") << bit;
  }
  for (std::size_t bit = 0; bit < epochs_.size() * 8; bit += 3) {
    EXPECT_NE(going_on(steps_, flipped(epochs_, bit)), "no error") << bit;
  }
}

TEST_F(LogsOfARunThatGoesOn, NoticeEveryCut) {
  for (std::size_t size = 0; size < steps_.size(); ++size) {
    EXPECT_NE(going_on(steps_.substr(0, size), epochs_), "no error") << size;
    EXPECT_NE(going_on(steps_.substr(0, size), epochs_, false), "no error") << size;
  }
  for (std::size_t size = 0; size < epochs_.size(); ++size) {
    EXPECT_NE(going_on(steps_, epochs_.substr(0, size)), "no error") << size;
    EXPECT_NE(going_on(steps_, epochs_.substr(0, size), false), "no error") << size;
  }
}

TEST_F(LogsOfARunThatGoesOn, DropWhatComesBehindTheCheckpoint) {
  for (const char* more : {"8,0.5\n9,0.5\n", "8,0.5\n9", "5", "garbage\n\n", "\xff"}) {
    ASSERT_EQ(going_on(steps_ + more, epochs_ + "3,9,1,1,0.5\n"), "no error") << more;
    const std::string now = read_file(folder_ / "steps.csv");
    EXPECT_EQ(now.substr(0, steps_.size()), steps_);
    EXPECT_THAT(now.substr(steps_.size()), ::testing::MatchesRegex("8,[0-9.]+\n")) << "one step";
  }
}

TEST_F(LogsOfARunThatGoesOn, MustBeWholeWhereNothingVouchesForThem) {
  const std::string advice = ": put it right, or move it away to log from here on";
  EXPECT_EQ(going_on(steps_, epochs_, false), "no error");
  EXPECT_EQ(going_on("", epochs_, false),
            "[step_log] 'steps.csv' is no step log: its first line is not 'step,loss'" + advice);
  EXPECT_EQ(going_on("step,loss\n0,1\n", epochs_, false),
            "[step_log] 'steps.csv' ends before step 1, and the run goes on at 8" + advice);
  EXPECT_EQ(going_on("step,loss\n0,1\n2,1\n", epochs_, false),
            "[step_log] 'steps.csv' line 3: \"2,1\\n\" is not step 1 and its loss" + advice);
  for (const char* line : {"1", "1,", "1,x", "1,1,1", " 1,1", "1,1 ", "01,1", ""}) {
    EXPECT_THAT(going_on(fmt::format("step,loss\n0,1\n{}\n", line), epochs_, false),
                HasSubstr("is not step 1 and its loss"))
        << line;
  }
  const std::string header = epochs_.substr(0, epochs_.find('\n') + 1);
  EXPECT_EQ(
      going_on(steps_, header + "1,3,1,1,0.5\n", false),
      "[epochs] 'epochs.csv' ends before epoch 2, and the run goes on after 2: put it right, or "
      "move it away to begin a new table");
  EXPECT_THAT(going_on(steps_, header + "2,6,1,1,0.5\n1,3,1,1,0.5\n", false),
              HasSubstr("line 2: is of epoch 2, not 1"));
}

TEST_F(LogsOfARunThatGoesOn, AreBegunAnewWhenTheyAreGoneWithAWord) {
  std::filesystem::remove(folder_ / "steps.csv");
  std::filesystem::remove(folder_ / "epochs.csv");
  maskgrad::Notes later;
  {
    ToyRun toy({.training = {.epochs = 3}}, {}, [&](ToyRun&) { return state_; });
    add_logs(toy, notes_);
    toy.run();
    later = toy.trainer->notes();
    state_ = toy.trainer->state();
  }
  EXPECT_THAT(warnings_, ::testing::ElementsAre(HasSubstr("the steps before 8 are not in it"),
                                                HasSubstr("the 2 epochs before are not in it")));
  const std::string steps = read_file(folder_ / "steps.csv");
  EXPECT_THAT(steps, StartsWith("step,loss\n8,"));
  EXPECT_EQ(read_epochs(folder_ / "epochs.csv").size(), 1U);
  notes_ = later;
  EXPECT_EQ(going_on(steps, read_file(folder_ / "epochs.csv")), "no error");
  EXPECT_THAT(going_on(steps, read_file(folder_ / "epochs.csv"), false),
              HasSubstr("is not step 0 and its loss"));
}

TEST_F(LogsOfARunThatGoesOn, RefuseATableOfOtherColumns) {
  overwrite(folder_ / "steps.csv", steps_);
  overwrite(folder_ / "epochs.csv", "epoch,steps,loss,seconds\n1,3,1,1\n2,6,1,1\n");
  ToyRun toy({.training = {.epochs = 4}}, {}, [&](ToyRun&) { return state_; });
  add_logs(toy, {});
  EXPECT_THAT(error_of([&] { toy.run(); }), HasSubstr("has other columns than the run"));
}

TEST(StepLog, IsReplacedInOnePieceWhenItsRunGoesOn) {
  const ScratchFolder folder;
  overwrite(folder / "steps.csv", "step,loss\n0,1\n1,1\n2,1\n");
  std::filesystem::create_hard_link(folder / "steps.csv", folder / "old");
  ToyRun toy({.training = {.epochs = 2}}, {}, [](ToyRun&) { return TrainState{2, {0, 2}, {}}; });
  toy.trainer->add(std::make_unique<StepLog>(folder / "steps.csv"));
  toy.run(true);
  EXPECT_EQ(read_file(folder / "old"), "step,loss\n0,1\n1,1\n2,1\n") << "it was never truncated";
  EXPECT_THAT(read_file(folder / "steps.csv"), StartsWith("step,loss\n0,1\n1,1\n2,"));
}

TEST(StepLog, OfAPipeEndsWhenItsReaderLeavesAndTheRunGoesOn) {
  struct Leaves : Callback {
    explicit Leaves(int descriptor) : reader(descriptor) {}
    void on_epoch(const Trainer&, const EpochInfo&) override {
      if (!has_left) ::close(reader);
      has_left = true;
    }
    int reader;
    bool has_left = false;
  };
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const ScratchFolder folder;
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  std::vector<std::string> warnings;
  ToyRun toy({.training = {.epochs = 4}});
  toy.trainer->add(std::make_unique<Leaves>(reader));
  toy.trainer->add(std::make_unique<StepLog>(
      pipe, LogOrigin{.warn = [&](const std::string& text) { warnings.push_back(text); }}));
  EXPECT_EQ(error_of([&] { toy.run(); }), "no error");
  EXPECT_EQ(toy.trainer->state().position.epoch, 4);
  EXPECT_THAT(warnings, ElementsAre("cannot write '" + pipe.string() +
                                    "': Broken pipe: the step log ends here, and the run goes on"));
  std::signal(SIGPIPE, before);
}

TEST(ReadEpochs, HoldsTheTableAgainstWhatIsVouchedFor) {
  const ScratchFolder folder;
  const auto path = folder / "e.csv";
  const std::string table = "epoch,steps,loss,seconds\n1,3,0.5,1.250\n2,6,0.25,1.5\n";
  overwrite(path, table);
  const std::string values = epoch_values_digest(path);
  const auto reading = [&](const std::string& text, const maskgrad::Notes& notes) {
    overwrite(path, text);
    return error_of([&] { read_epochs(path, notes); });
  };
  const maskgrad::Notes whole = {{kEpochsNote, to_string(digest_of(table))}};
  const maskgrad::Notes without_seconds = {{kEpochValuesNote, values}};
  const std::string quicker = "epoch,steps,loss,seconds\n1,3,0.5,0.001\n2,6,0.25,1.5\n";
  const std::string other = "epoch,steps,loss,seconds\n1,3,0.6,1.250\n2,6,0.25,1.5\n";
  for (const maskgrad::Notes& notes : {whole, without_seconds}) {
    EXPECT_EQ(reading(table, notes), "no error");
    EXPECT_EQ(reading(table + "3,9,0.2,1\n", notes), "no error") << "the run went on since";
    EXPECT_THAT(reading(other, notes), HasSubstr("is not the table that the run wrote"));
    EXPECT_THAT(reading(table.substr(0, table.find("2,6")), notes), HasSubstr("is not the table"));
  }
  EXPECT_THAT(reading(quicker, whole), HasSubstr("is not the table"));
  EXPECT_EQ(reading(quicker, without_seconds), "no error");
  EXPECT_THAT(reading(table, {{kEpochsNote, "12 bytes"}}), HasSubstr("'12 bytes' is no digest"));
}

TEST(RunLogs, NameTheFileTheyCannotWrite) {
  ToyRun toy({});
  toy.trainer->add(std::make_unique<StepLog>("/nonexistent/steps.csv"));
  EXPECT_THAT(error_of([&] { toy.run(); }),
              StartsWith("[file] cannot create '/nonexistent/steps.csv': No such file"));
}

TEST(ReadEpochs, NamesFileAndLineOfWhatIsNoTable) {
  const ScratchFolder folder;
  const std::string name = (folder / "e.csv").string();
  const auto reading = [&](const std::string& text) {
    overwrite(folder / "e.csv", text);
    return error_of([&] { read_epochs(folder / "e.csv"); });
  };
  EXPECT_EQ(reading("epoch,loss\n1,0.5\n2,1e-3\n"), "no error");
  EXPECT_EQ(reading("epoch,loss\n"), "no error");
  EXPECT_EQ(reading("epoch,loss\n1,0.5"), "[epochs] '" + name + "': its last line does not end");
  EXPECT_EQ(reading(""), "[epochs] '" + name + "' is empty");
  EXPECT_EQ(reading("epoch,loss\n1,2\n2\n"),
            "[epochs] '" + name + "' line 3: has 1 cells, the header 2");
  for (const char* cell : {"", "x", "1.5x", " 1", "1 "}) {
    EXPECT_EQ(reading(fmt::format("epoch,loss\n1,{}\n", cell)),
              fmt::format("[epochs] '{}' line 2: '{}' is no number", name, cell));
  }
  EXPECT_EQ(error_of([&] { read_epochs(folder / "none"); }),
            "[file] cannot open '" + (folder / "none").string() + "': No such file or directory");
}

}  // namespace
}  // namespace maskgrad
