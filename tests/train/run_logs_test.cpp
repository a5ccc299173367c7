#include <charconv>
#include <fstream>

#include <gmock/gmock.h>

#include <maskgrad/train/run_logs.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Notes;
using test::ScratchFolder;
using test::ToyRun;
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

TEST(EpochLog, RefusesToGoOnWithADamagedTable) {
  const ScratchFolder folder;
  overwrite(folder / "epochs.csv", "epoch,steps\n1,3,9\n");
  ToyRun toy({.training = {.epochs = 3}}, {}, [](ParameterBuffer&, Optimizer&) {
    return TrainState{3, {}, {}};
  });
  toy.trainer->add(std::make_unique<EpochLog>(folder / "epochs.csv"));
  EXPECT_THAT(error_of([&] { toy.run(); }), HasSubstr("line 2: has 3 cells, the header 2"));
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
