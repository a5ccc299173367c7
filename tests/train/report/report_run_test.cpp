#include <limits>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/report/report.hpp>
#include <maskgrad/train/weights_format.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/report/page.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::page_of;
using test::ScratchFolder;
using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void write_model(const fs::path& folder) {
  save_tensors(folder / "model.safetensors",
               {{"a.bias", Tensor::from({kNan, 7.0, 7.0}, {3})},
                {"b.weight", Tensor::from({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2})}});
}

void write_run(const fs::path& folder) {
  fs::create_directories(folder / "logs");
  write_file(folder / "epochs.csv", "epoch,steps,loss,seconds\n1,10,2.5,1.5\n2,20,1.25,0.5\n");
  write_model(folder);
}

TEST(LoadReportRun, ReadsTheTableTheParametersAndTheHistograms) {
  const ScratchFolder folder;
  write_run(folder.path());
  EventWriter writer(folder / "logs");
  for (const int step : {10, 20}) {
    writer.add_scalar("epoch/loss", step, 1);
    writer.add_histogram("weights/b.weight", step, std::vector<double>{1, 2.0 * step});
    writer.add_histogram("weights/a.bias", step, std::vector<double>{3});
  }
  writer.flush();
  const ReportRun run = load_report_run(folder.path(), "mine");
  EXPECT_EQ(run.name, "mine");
  ASSERT_EQ(run.epochs.size(), 2U);
  EXPECT_EQ(find_value(run.epochs[1], "loss"), 1.25);
  EXPECT_EQ(find_value(run.epochs[1], "accuracy"), std::nullopt);
  ASSERT_EQ(run.histograms.size(), 2U);
  EXPECT_EQ(run.histograms[0].tag, "weights/b.weight");
  EXPECT_EQ(run.histograms[0].epochs.at(1).max, 20);
  EXPECT_EQ(run.histograms[0].epochs.at(2).max, 40);
  ASSERT_EQ(run.parameters.size(), 2U);
  EXPECT_EQ(run.parameters[0].name, "b.weight");  // as in the logs, not by name
  EXPECT_EQ(run.parameters[0].shape, (Shape{2, 2}));
  EXPECT_EQ(run.parameters[0].min, 1);
  EXPECT_EQ(run.parameters[0].max, 4);
  EXPECT_DOUBLE_EQ(run.parameters[0].mean, 2.5);
  EXPECT_DOUBLE_EQ(run.parameters[0].std, std::sqrt(1.25));
  EXPECT_EQ(run.parameters[1].not_finite, 1);
  EXPECT_DOUBLE_EQ(run.parameters[1].mean, 7);
}

TEST(LoadReportRun, PlacesValidationBetweenTheEndsOfEpochs) {
  const ScratchFolder folder;
  write_run(folder.path());
  write_file(folder / "epochs.csv", "epoch,steps,loss,seconds\n1,10,2.5,1.5\n3,30,1.25,0.5\n");
  EventWriter writer(folder / "logs");
  for (const int step : {4, 10, 25, 36}) {
    writer.add_scalar("validation/loss", step, static_cast<float>(step));
    writer.add_scalar("validation/accuracy", step, 0.5);
  }
  writer.flush();
  const ReportRun run = load_report_run(folder.path(), "mine");
  ASSERT_EQ(run.validation.size(), 2U);
  EXPECT_EQ(run.validation[0].metric, "loss") << "as it was written, not by name";
  EXPECT_EQ(run.validation[0].values,
            (std::map<double, double>{{0.4, 4}, {1, 10}, {2.5, 25}, {3.6, 36}}));
  EXPECT_FALSE(run.best.has_value()) << "no note tells it";
}

TEST(LoadReportRun, ReadsTheTableOfValidationWithoutEventFilesAndBeforeThem) {
  const ScratchFolder folder;
  write_run(folder.path());
  write_file(folder / "epochs.csv", "epoch,steps,loss,seconds\n1,10,2.5,1.5\n3,30,1.25,0.5\n");
  const std::string table = "epoch,steps,loss,accuracy\n1,10,0.1,0.5\n2,20,0.2,0.25\n";
  write_file(folder / "validation.csv", table + "3,30,9,9\n");
  fs::create_directories(folder / "checkpoints");
  save_tensors(folder / "checkpoints" / "step_000000000030.safetensors", {},
               weights_metadata("checkpoint", {{kValidationsNote, to_string(digest_of(table))}}));
  EventWriter writer(folder / "logs");
  writer.add_scalar("validation/loss", 4, 0.75);
  writer.add_scalar("validation/loss", 10, 7);
  writer.flush();
  const ReportRun run = load_report_run(folder.path(), "mine");
  ASSERT_EQ(run.validation.size(), 2U);
  EXPECT_EQ(run.validation[0].values, (std::map<double, double>{{0.4, 0.75}, {1, 0.1}, {2, 0.2}}))
      << "as no float32 says it, and no line that nothing vouches for";
  EXPECT_EQ(run.validation[1].values, (std::map<double, double>{{1, 0.5}, {2, 0.25}}));
  write_file(folder / "validation.csv", "epoch,steps,loss,accuracy\n1,10,0.7,0.5\n");
  EXPECT_THAT(error_of([&] { load_report_run(folder.path(), "mine"); }),
              HasSubstr("validation.csv' is not the table that the run wrote"));
}

TEST(LoadReportRun, NamesTheCheckpointOfANoteThatIsDamaged) {
  const ScratchFolder folder;
  write_run(folder.path());
  fs::create_directories(folder / "checkpoints");
  const auto error_with = [&](const std::string& key, const std::string& note) {
    const fs::path file = folder / "checkpoints" / "step_000000000020.safetensors";
    save_tensors(file, {}, weights_metadata("checkpoint", {{key, note}}));
    return error_of([&] { load_report_run(folder.path(), "mine"); });
  };
  const std::string name = "checkpoints/step_000000000020.safetensors";
  EXPECT_THAT(error_with(kEpochPartNote, "epoch\n"), HasSubstr(name));
  EXPECT_THAT(error_with(kValidationNote, "40 x 2 data"), HasSubstr(name));
  EXPECT_EQ(error_with(kEpochPartNote, "epoch,steps\n2.5,25\n"), "no error");
}

TEST(BestValidation, IsReadFromTheNotes) {
  const auto best = best_validation({{"validation", "40 1.25 2 30 samples, crc32c 1a2b3c4d"}}, "c");
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(best->loss, 1.25);
  EXPECT_EQ(best->step, 40);
  EXPECT_FALSE(best_validation({}, "c").has_value());
  EXPECT_FALSE(best_validation({{"validation", "40 1.25 2"}}, "c").has_value())
      << "of a time without best weights";
  EXPECT_THAT(error_of([] {
                best_validation({{"validation", "40 x 2 data"}}, "c");
              }),
              HasSubstr("'c'"));
}

TEST(LoadReportRun, TakesTheLastFileOfARunThatWentOn) {
  const ScratchFolder folder;
  write_run(folder.path());
  const std::vector<std::vector<std::pair<int, double>>> files = {{{10, 1}, {15, 2}, {20, 3}},
                                                                  {{20, 4}}};
  for (const auto& file : files) {
    EventWriter writer(folder / "logs");
    for (const auto& [step, value] : file) {
      writer.add_histogram("weights/w", step, std::vector<double>{value});
    }
    writer.flush();
  }
  const ReportRun run = load_report_run(folder.path(), "r");
  ASSERT_EQ(run.histograms.size(), 1U);
  ASSERT_EQ(run.histograms[0].epochs.size(), 2U);  // step 15 ended no epoch of the table
  EXPECT_EQ(run.histograms[0].epochs.at(1).sum, 1);
  EXPECT_EQ(run.histograms[0].epochs.at(2).sum, 4);
}

TEST(LoadReportRun, NeedsNoLogs) {
  const ScratchFolder folder;
  write_run(folder.path());
  fs::remove(folder / "logs");
  const ReportRun run = load_report_run(folder.path(), "quiet");
  EXPECT_TRUE(run.histograms.empty());
  EXPECT_THAT(page_of({run}), HasSubstr("There are no histograms"));
}

TEST(LoadReportRun, NamesTheFileThatIsMissingOrBroken) {
  const ScratchFolder folder;
  const auto error = [&] { return error_of([&] { load_report_run(folder.path(), "r"); }); };
  EXPECT_THAT(error(), HasSubstr("model.safetensors': No such file"));
  write_run(folder.path());
  EXPECT_EQ(error(), "no error");
  write_file(folder / "model.safetensors", "short");
  EXPECT_THAT(error(), HasSubstr("model.safetensors'"));
  fs::remove(folder / "model.safetensors");
  EXPECT_THAT(error(), HasSubstr("model.safetensors': No such file"));
  write_model(folder.path());
  fs::remove(folder / "epochs.csv");
  EXPECT_THAT(error(), HasSubstr("epochs.csv': No such file"));
  write_file(folder / "epochs.csv", "epoch,loss\n1,2.5\n");
  EXPECT_THAT(error(), HasSubstr("epochs.csv': has no column 'steps'"));
  write_file(folder / "epochs.csv", "epoch,steps\nnan,10\n");
  EXPECT_THAT(error(), HasSubstr("epochs.csv': column 'epoch' holds nan"));
}

TEST(LoadReportRun, TakesWhatComesBeforeTheDamageInAnEventFileAndSaysSo) {
  const ScratchFolder folder;
  write_run(folder.path());
  fs::path torn;
  {
    EventWriter writer(folder / "logs");
    for (const int step : {10, 20}) {
      writer.add_histogram("weights/w", step, std::vector<double>{1, 2});
    }
    torn = writer.path();
  }
  fs::resize_file(torn, fs::file_size(torn) - 1);
  EventWriter(folder / "logs").add_histogram("weights/v", 20, std::vector<double>{1, 2});
  const ReportRun run = load_report_run(folder.path(), "r");
  ASSERT_EQ(run.histograms.size(), 2U);
  EXPECT_TRUE(run.histograms[0].epochs.contains(1));
  EXPECT_FALSE(run.histograms[0].epochs.contains(2));
  EXPECT_TRUE(run.histograms[1].epochs.contains(2)) << "the next file counts";
  ASSERT_EQ(run.warnings.size(), 1U);
  EXPECT_THAT(run.warnings[0], HasSubstr(torn.filename().string() + "': record 2 at byte "));
  EXPECT_THAT(page_of({run}), HasSubstr("truncated in its data: the events from there on are left "
                                        "out"));
}

// Every cut between two events leaves a file that is sound in itself.
TEST(LoadReportRun, SaysWhatIsMissingOfAnEventFileThatWasCutBetweenEvents) {
  const ScratchFolder folder;
  write_run(folder.path());
  std::vector<std::uintmax_t> ends;
  fs::path file;
  {
    EventWriter writer(folder / "logs");
    file = writer.path();
    for (const int step : {10, 20}) {
      for (const char* parameter : {"a.bias", "b.weight"}) {
        for (const char* kind : {"weights/", "gradients/"}) {
          writer.flush();
          ends.push_back(fs::file_size(file));
          writer.add_histogram(std::string(kind) + parameter, step, std::vector<double>{1, 2});
        }
      }
    }
  }
  EXPECT_THAT(load_report_run(folder.path(), "r").warnings, ::testing::IsEmpty());
  for (std::size_t left = ends.size(); left-- > 0;) {
    fs::resize_file(file, ends[left]);
    const ReportRun run = load_report_run(folder.path(), "r");
    ASSERT_EQ(run.warnings.size(), 1U) << left;
    EXPECT_THAT(run.warnings[0], HasSubstr(fmt::format("lack {} histogram", ends.size() - left)));
  }
  fs::resize_file(file, 0);
  const ReportRun run = load_report_run(folder.path(), "r");
  ASSERT_EQ(run.warnings.size(), 1U) << "cut to nothing";
  EXPECT_THAT(run.warnings[0], HasSubstr("is empty"));
  fs::remove(file);
  EXPECT_THAT(load_report_run(folder.path(), "r").warnings, ::testing::IsEmpty())
      << "the run wrote none";
}

TEST(LoadReportRun, ReadsTheGraphOfTheModelWhichNoRestartMakesVoid) {
  const ScratchFolder folder;
  write_run(folder.path());
  EXPECT_TRUE(load_report_run(folder.path(), "r").graph.nodes.empty());
  EventWriter writer(folder / "logs");
  writer.add_graph(encode(ModelGraph{{{.name = "x", .op = "Placeholder"}}}));
  EventWriter(folder / "logs").add_restart(1);
  const ReportRun run = load_report_run(folder.path(), "r");
  ASSERT_EQ(run.graph.nodes.size(), 1U);
  EXPECT_EQ(run.graph.nodes[0].name, "x");
  writer.add_graph("\x0a\x7f");
  const ReportRun torn = load_report_run(folder.path(), "r");
  EXPECT_TRUE(torn.graph.nodes.empty());
  EXPECT_THAT(torn.warnings, ::testing::Contains(HasSubstr("the model's graph is left out: ")));
}

TEST(LoadReportRun, LeavesOutWhatARestartMadeVoid) {
  const ScratchFolder folder;
  write_run(folder.path());
  EventWriter first(folder / "logs"), second(folder / "logs");
  first.add_histogram("weights/w", 10, std::vector<double>{1});
  first.add_histogram("weights/w", 20, std::vector<double>{2});
  first.flush();
  second.add_restart(11);
  const ReportRun run = load_report_run(folder.path(), "r");
  ASSERT_EQ(run.histograms.size(), 1U);
  EXPECT_TRUE(run.histograms[0].epochs.contains(1));
  EXPECT_FALSE(run.histograms[0].epochs.contains(2));
}

TEST(LoadReportRun, RefusesATableThatIsNotTheModels) {
  const ScratchFolder folder;
  write_run(folder.path());
  const std::string table = read_file(folder / "epochs.csv");
  save_tensors(folder / "model.safetensors", {},
               {{"format", "maskgrad model 2"}, {"note.epochs.csv", to_string(digest_of(table))}});
  const auto error = [&] { return error_of([&] { load_report_run(folder.path(), "r"); }); };
  EXPECT_EQ(error(), "no error");
  write_file(folder / "epochs.csv", table + "3,30,1.0,0.5\n");
  EXPECT_EQ(error(), "no error") << "the run went on since";
  std::string flipped = table;
  flipped[flipped.find("2.5")] = '3';
  write_file(folder / "epochs.csv", flipped);
  EXPECT_THAT(error(), HasSubstr("epochs.csv' is not the table that the run wrote"));
  write_file(folder / "epochs.csv", table.substr(0, table.rfind('\n', table.size() - 2) + 1));
  EXPECT_THAT(error(), HasSubstr("epochs.csv' is not the table that the run wrote"));
}

}  // namespace
}  // namespace maskgrad
