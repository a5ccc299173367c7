#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/report.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/markup.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::count_of;
using test::error_of;
using test::MarkupReader;
using test::ScratchFolder;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr const char* kHostile = "</td></style><script>alert(1)</script>\" x='\x02\xc3";

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

/// A run as it would be loaded: losses, and histograms of `parameters` parameters.
ReportRun make_run(std::string name, const std::vector<double>& losses, int parameters = 0) {
  ReportRun run;
  run.name = std::move(name);
  for (const double loss : losses) {
    const double epoch = static_cast<double>(run.epochs.size() + 1);
    run.epochs.push_back({{"epoch", epoch},
                          {"steps", epoch * 100},
                          {"loss", loss},
                          {"accuracy", 0.125},
                          {"seconds", 0.5}});
  }
  std::vector<double> values(3000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<double>(i * i));
  for (const char* prefix : {"weights/", "gradients/"}) {
    for (int p = 0; p < parameters; ++p) {
      run.histograms.push_back({fmt::format("{}layer{}.weight", prefix, p), {}});
      for (std::size_t e = 0; e < losses.size(); ++e) {
        run.histograms.back().epochs[static_cast<std::int64_t>(e + 1)] = make_histogram(values);
      }
    }
  }
  return run;
}

std::string page_of(const std::vector<ReportRun>& runs,
                    const std::vector<ReferenceCurve>& references = {}) {
  const std::string page = render_report("Runs", runs, references);
  EXPECT_EQ(MarkupReader(page).fault(), "");
  return page;
}

TEST(Html, EscapesWhatMarkupWouldRead) {
  EXPECT_EQ(escape_html("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  EXPECT_EQ(escape_html("é–\n"), "é–\n");
  EXPECT_EQ(escape_html(std::string_view("\0\x7f\xc3(", 4)), "\uFFFD\uFFFD\uFFFD(");
}

TEST(Html, ShortensByCharactersNotBytes) {
  EXPECT_EQ(shorten("äöü", 3), "äöü");
  EXPECT_EQ(shorten("äöüß", 3), "äö…");
}

TEST(Html, WritesNumbersForPeople) {
  EXPECT_EQ(format_number(1.73731), "1.7373");
  EXPECT_EQ(format_number(-2.5e-7), "-2.500e-07");
  EXPECT_EQ(format_number(-0.0), "0.0000");
  EXPECT_EQ(format_number(kNan), "nan");
  EXPECT_EQ(format_difference(0.0031), "+0.0031");
  EXPECT_EQ(format_difference(-1e-9), "-1.0e-09");
  EXPECT_EQ(format_difference(0), "0.0000");
  EXPECT_EQ(format_count(49145), "49,145");
  EXPECT_EQ(format_count(-123456), "-123,456");
  EXPECT_EQ(format_count(999), "999");
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

TEST(RenderReport, ShowsValidationBesideTraining) {
  std::vector<ReportRun> runs = {make_run("a", {2, 1}), make_run("b", {2, 1})};
  EXPECT_THAT(page_of(runs), Not(HasSubstr("validation")));
  runs[1].validation = {{"loss", {{0.5, 3.25}, {2, 2.75}}}};
  runs[1].best = BestValidation{2.75, 200};
  const std::string page = page_of(runs);
  EXPECT_THAT(page, HasSubstr("validation loss by epoch"));
  EXPECT_THAT(page, HasSubstr("a (no values)")) << "the legend says which run has none";
  EXPECT_THAT(page, HasSubstr("b, epoch 0.5: 3.25"));
  EXPECT_THAT(page, HasSubstr("final validation loss"));
  EXPECT_THAT(page, HasSubstr("best validation loss"));
  EXPECT_THAT(page, Not(HasSubstr("validation accuracy")));
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

TEST(Report, NeedsARun) {
  EXPECT_EQ(error_of([] { render_report("t", {}, {}); }), "[report] needs at least one run");
}

TEST(Report, IsSoundMarkupWhateverTheNames) {
  ReportRun run = make_run(kHostile, {1, 2}, 1);
  run.settings = {{kHostile, kHostile}};
  run.epochs[0].emplace_back(kHostile, 3);
  run.histograms[0].tag += kHostile;
  run.parameters.emplace_back().name = kHostile;
  const std::vector<ReportRun> runs = {run, run};
  const std::vector<ReferenceCurve> references = {{kHostile, kHostile, {1}}};
  const std::string page = render_report(kHostile, runs, references);
  EXPECT_EQ(MarkupReader(page).fault(), "");
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_EQ(count_of(page, "</style>"), 1U);
}

TEST(Report, FetchesNothing) {
  const std::string page = page_of({make_run("a", {1, 2}, 1)}, {{"old", "loss", {1.5}}});
  for (const char* word : {"http", "src=", "url(", "@import", "<link", "<script", "<img"}) {
    EXPECT_THAT(page, Not(HasSubstr(word)));
  }
}

TEST(Report, ShowsReferencesBesideTheRunsAndTheirDifferences) {
  const std::string page =
      page_of({make_run("key", {1.75, 1.5, 1.25}), make_run("none", {2, kNan})},
              {{"printed", "loss", {1.7, 1.6}}, {"elsewhere", "perplexity", {9}}});
  EXPECT_THAT(page, HasSubstr("key − printed"));
  EXPECT_THAT(page, HasSubstr("none − printed"));
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">1</th><td>1.7500</td><td>2.0000</td>"
                              "<td>1.7000</td><td class=\"ruled\">+0.0500</td>"
                              "<td class=\"ruled\">+0.3000</td></tr>"));
  EXPECT_THAT(page, HasSubstr("<td>1.5000</td><td>nan</td><td>1.6000</td>"
                              "<td class=\"ruled\">-0.1000</td><td class=\"ruled\">nan</td>"));
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">3</th><td>1.2500</td><td>–</td><td>–</td>"));
  EXPECT_THAT(page,
              HasSubstr("<td class=\"ruled\">0.1000</td><td class=\"ruled\">0.3000</td></tr>\n"
                        "</tbody>"));
  EXPECT_THAT(page, HasSubstr("<title>printed, epoch 2: 1.6</title>"));
  EXPECT_THAT(page, HasSubstr("<title>elsewhere, epoch 1: 9</title>"));
}

TEST(Report, SumsUpEachRun) {
  ReportRun run = make_run("one", {2, 1});
  run.parameters.emplace_back().shape = Shape{300, 150};
  const std::string page = page_of({run});
  for (const char* row : {"final loss</th><td>1.0000<", "final accuracy</th><td>0.1250<",
                          "epochs</th><td>2<", "steps</th><td>200<", "parameters</th><td>45,000<",
                          "seconds</th><td>1.0<", "ms a step (median of epochs)</th><td>5.000<"}) {
    EXPECT_THAT(page, HasSubstr(row));
  }
}

TEST(Report, SaysWhichRunsAreEqual) {
  const std::string page =
      page_of({make_run("key", {3, 2}), make_run("query", {2, 1}), make_run("none", {2, 1})});
  EXPECT_THAT(page, HasSubstr("query and none have the same loss at every epoch"));
  EXPECT_THAT(page, HasSubstr("key, query and none have the same accuracy at every epoch"));
  const double next = std::nextafter(1.0, 2.0);
  EXPECT_THAT(page_of({make_run("query", {2, 1}), make_run("none", {2, next})}),
              Not(HasSubstr("have the same loss")));
  EXPECT_THAT(page_of({make_run("a", {kNan}), make_run("b", {kNan}), make_run("c", {})}),
              Not(HasSubstr("have the same loss")));
}

TEST(Report, MarksTheSettingsThatDiffer) {
  std::vector<ReportRun> runs = {make_run("a", {1}), make_run("b", {1})};
  runs[0].settings = {{"lr", "0.1"}, {"mask", "key"}, {"seed", "7"}};
  runs[1].settings = {{"lr", "0.1"}, {"mask", "none"}};
  const std::string page = page_of(runs);
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">lr</th>"));
  EXPECT_THAT(page, HasSubstr("<tr class=\"differs\"><th scope=\"row\">mask</th><td>key</td>"));
  EXPECT_THAT(page, HasSubstr("<tr class=\"differs\"><th scope=\"row\">seed</th><td>7</td>"
                              "<td>–</td>"));
}

TEST(Report, OfThreeRunsIsSmallAndAlwaysTheSame) {
  const std::vector<double> losses = {1.7, 1.4, 1.3, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6};
  const std::vector<ReportRun> runs = {make_run("key", losses, 8), make_run("query", losses, 8),
                                       make_run("none", losses, 8)};
  const std::string page = page_of(runs);
  EXPECT_EQ(page, page_of(runs));
  EXPECT_LT(page.size(), 1'000'000U);
  EXPECT_EQ(count_of(page, "<svg "), 2U + 3 * 16);
  EXPECT_EQ(count_of(page, "class=\"ridge\""), 3U * 16 * 10);
  EXPECT_EQ(count_of(page, "<details>"), 3U);
}

TEST(Report, OfARunWithoutEpochsSaysSoQuietly) {
  const std::string page = page_of({make_run("new", {})}, {{"old", "loss", {1}}});
  EXPECT_THAT(page, HasSubstr("new (no values)"));
  EXPECT_THAT(page, HasSubstr("final loss</th><td>–</td><td>1.0000</td>"));
  EXPECT_EQ(MarkupReader(page_of({ReportRun{}})).fault(), "");
}

}  // namespace
}  // namespace maskgrad
