#include <iterator>
#include <regex>
#include <sstream>

#include <maskgrad/tensor/cuda/choose_device.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Two runs in `runs`, and a third elsewhere with the name of the first.
class Report : public test::CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    ASSERT_EQ(train({"--out", "runs/first", "--epochs", "2"}).code, 0);
    ASSERT_EQ(train({"--out", "runs/second", "--epochs", "2", "--mask", "query"}).code, 0);
    ASSERT_EQ(train({"--out", "other/first", "--epochs", "2", "--seed", "1"}).code, 0);
  }
};

TEST_F(Report, GoesIntoTheRunItIsAbout) {
  std::filesystem::remove(path("runs/first/report.html"));
  for (const char* name : {"runs/first", "runs/first/"}) {
    const auto result = run({"report", name});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, (std::filesystem::path(name) / "report.html").string() + "\n");
    EXPECT_THAT(read("runs/first/report.html"), HasSubstr("first"));
  }
}

TEST_F(Report, DrawsSeveralRunsAndTouchesNoneOfTheirOwn) {
  const std::string own = read("runs/first/report.html");
  EXPECT_EQ(run({"report", "runs/first", "runs/second"}).out, "report.html\n");
  EXPECT_EQ(read("runs/first/report.html"), own);
  EXPECT_THAT(read("report.html"), HasSubstr(">second<"));
  EXPECT_EQ(run({"report", "runs"}).out, "runs/report.html\n");
  EXPECT_EQ(run({"report", "runs", "--out", "all.html"}).out, "all.html\n");
  EXPECT_EQ(read("all.html"), read("report.html"));
}

TEST_F(Report, TakesTheFileOfAReportAndOfNothingElse) {
  write("notes.html", "<!DOCTYPE html>\n<p>my notes</p>");
  expect_error(run({"report", "runs", "--out", "notes.html"}), 1,
               "'notes.html' is there already, and is no report: name another file");
  EXPECT_EQ(read("notes.html"), "<!DOCTYPE html>\n<p>my notes</p>");
  write("all.html", "");
  EXPECT_EQ(run({"report", "runs", "--out", "all.html"}).code, 0);
  EXPECT_EQ(run({"report", "runs", "--out", "all.html"}).code, 0);
}

TEST_F(Report, DrawsTheMasksOfAttention) {
  ASSERT_EQ(run({"report", "runs/first", "runs/second"}).code, 0);
  const auto says = [&](const char* text) {
    return read("report.html").find(text) != std::string::npos;
  };
  EXPECT_TRUE(says("first: reflect</text>"));
  EXPECT_TRUE(says("Keeps 400 of 400 pairs (100 %)."));
  std::filesystem::remove_all(path("d"));  // without the data there are no masks to show
  ASSERT_EQ(run({"report", "runs/first", "runs/second"}).code, 0);
  EXPECT_FALSE(says(": reflect</text>"));
}

TEST_F(Report, ShowsAnswersWithTheirProbabilities) {
  const std::string page = read("runs/first/report.html");
  const std::string told = run({"predict", "runs/first", "x=-12,y=24:y-x", "--probabilities"}).out;
  const std::string first = told.substr(0, 1) + " (" + told.substr(3, 3);
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">x=-12,y=24:y-x</th><td>3</td>"));
  const std::size_t row = page.find(">x=-12,y=24:y-x<");
  EXPECT_THAT(page.substr(row, page.find("</tr>", row) - row), HasSubstr(first)) << told;
  EXPECT_THAT(page, HasSubstr("Right answers: first has "));
}

TEST_F(Report, ComparesWithTheArticleOnlyWhatHasItsSettings) {
  const auto own = [&](const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> args = {"train",      "blog", "--out",           name, "--epochs", "1",
                                     "--progress", "off",  "--no-tensorboard"};
    args.insert(args.end(), more.begin(), more.end());
    const auto result = run(args);
    EXPECT_EQ(result.code, 0) << result.err;
    return read(name + "/report.html");
  };
  EXPECT_THAT(own("as", {"--mask", "query"}), HasSubstr("In training loss, as ends "));
  EXPECT_THAT(own("lr", {"--lr", "0.01"}), Not(HasSubstr("article")));
  EXPECT_THAT(own("batch", {"--batch-size", "4"}), Not(HasSubstr("article")));
  EXPECT_THAT(own("small", {"--max-val", "10"}), Not(HasSubstr("article")));
  EXPECT_THAT(read("runs/first/report.html"), Not(HasSubstr("article"))) << "of 80 samples";
  ASSERT_EQ(run({"report", "lr", "as"}).code, 0);
  const std::string both = read("report.html");
  EXPECT_THAT(both, HasSubstr("as − article"));
  EXPECT_THAT(both, Not(HasSubstr("lr − article")));
  EXPECT_THAT(both, HasSubstr("qnarre.com"));
}

// 40 steps are an epoch of these data.
class ReportOfAnUnfinishedEpoch : public test::CliTest {
 protected:
  std::string steps_in_inspect(const std::string& folder) {
    const std::string text = run({"inspect", folder}).out;
    const std::size_t line = text.find("\n", text.find("-----  -----"));
    return text.substr(line + 1, text.find("\n", line + 1) - line);
  }
};

TEST_F(ReportOfAnUnfinishedEpoch, SaysHowFarItWent) {
  const std::string summary = "<tr><th scope=\"row\">steps</th><td>7</td></tr>";
  ASSERT_EQ(train({"--out", "a", "--steps", "7"}).code, 0);
  EXPECT_THAT(read("a/report.html"), HasSubstr(summary));
  EXPECT_THAT(read("a/report.html"), HasSubstr("final training loss"));
  EXPECT_THAT(steps_in_inspect("a"), HasSubstr("  7  "));
  std::filesystem::remove_all(path("a/checkpoints"));
  ASSERT_EQ(run({"report", "a"}).code, 0);
  EXPECT_THAT(read("a/report.html"), HasSubstr(summary)) << "the model tells it, too";
}

TEST_F(ReportOfAnUnfinishedEpoch, MarksTheMeanOfAFewSteps) {
  ASSERT_EQ(train({"--out", "runs/a", "--steps", "41"}).code, 0);
  EXPECT_THAT(read("runs/a/report.html"), HasSubstr("(mean of 1 step)"));
  EXPECT_THAT(run({"inspect", "runs/a"}).out, HasSubstr("\nthe last line is the mean of 1 step\n"));
  EXPECT_THAT(run({"inspect", "runs"}).out, HasSubstr("(mean of 1 step)"));
  ASSERT_EQ(train({"--out", "b", "--steps", "40"}).code, 0);
  EXPECT_THAT(run({"inspect", "b"}).out, Not(HasSubstr("is the mean of")));
}

TEST_F(ReportOfAnUnfinishedEpoch, SaysTheSameOfARunThatWentOn) {
  ASSERT_EQ(train({"--out", "a", "--steps", "3"}).code, 0);
  ASSERT_EQ(train({"--out", "a", "--resume", "--steps", "7"}).code, 0);
  ASSERT_EQ(train({"--out", "b", "--steps", "7"}).code, 0);
  EXPECT_TRUE(read("a/model.safetensors") == read("b/model.safetensors"));
  const auto cells = [&](const std::string& folder) {
    std::istringstream line(steps_in_inspect(folder));
    return std::vector<std::string>(std::istream_iterator<std::string>(line), {});
  };
  std::vector<std::string> whole = cells("b");
  ASSERT_EQ(whole.size(), 5U);
  whole.pop_back();
  EXPECT_EQ(cells("a"), whole) << "but for the seconds, of which those of 3 steps are not known";
  EXPECT_THAT(read("a/report.html"), HasSubstr("seconds</th><td>–<"));
  EXPECT_THAT(read("b/report.html"), Not(HasSubstr("seconds</th><td>–<")));
}

TEST_F(Report, RanksNoRunsOfDifferentTasksAndNamesThemAll) {
  write("t", std::string(2000, 'x') + std::string(2000, 'y'));
  ASSERT_EQ(run({"train", "text", "--data", "t", "--out", "words", "--features", "8", "--layers",
                 "1", "--heads", "1", "--context", "16", "--minutes", "0", "--epochs", "1"})
                .code,
            0);
  ASSERT_EQ(run({"report", "runs/first", "words", "runs/second"}).code, 0);
  const std::string page = read("report.html");
  EXPECT_THAT(page, HasSubstr("<title>maskgrad: blog and text</title>"));
  EXPECT_THAT(page, HasSubstr("Runs of different tasks are not ranked among each other: first and "
                              "second (blog); words (text)."));
  EXPECT_THAT(page, HasSubstr("first and second differ in mask."));
}

// Each seed draws other data.
TEST_F(Report, RanksRunsOfSeveralSeedsAndSaysWhereTheirDataDiffer) {
  for (const char* seed : {"0", "1"}) {
    const auto result =
        run({"train",      "arithmetic", "--out",           std::string("seeds/") + seed,
             "--seed",     seed,         "--features",      "8",
             "--layers",   "1",          "--heads",         "1",
             "--steps",    "2",          "--samples",       "8",
             "--minutes",  "0",          "--batch-size",    "4",
             "--progress", "off",        "--no-tensorboard"});
    ASSERT_EQ(result.code, 0) << result.err;
  }
  ASSERT_EQ(run({"report", "seeds"}).code, 0);
  EXPECT_THAT(read("seeds/report.html"), HasSubstr("Validation loss at the end, the best first: "));
  EXPECT_THAT(read("seeds/report.html"), HasSubstr("Validated on different data: 0; 1. Part of a "
                                                   "difference may come from that."));
  EXPECT_THAT(read("seeds/report.html"), HasSubstr("The runs differ in seed.</li>"));
  ASSERT_EQ(run({"report", "runs/first", "runs/second"}).code, 0);
  EXPECT_THAT(read("report.html"), HasSubstr("the best first"));
  EXPECT_THAT(read("report.html"), Not(HasSubstr("different data")));
}

TEST_F(Report, SaysWhereTheFiguresOfAModelAreThatAreHeldOut) {
  const std::string model = test::source_file("models/arithmetic").string();
  ASSERT_EQ(run({"report", model, "--out", "r.html"}).code, 0);
  EXPECT_THAT(read("r.html"),
              HasSubstr("No figure of arithmetic here is held out. maskgrad eval " + model +
                        " measures what was kept from training, and "
                        "eval.txt in that folder holds what it has said."));
  EXPECT_THAT(read("runs/first/report.html"), HasSubstr("No figure of first is held out: all are"));
}

TEST_F(Report, TellsRunsOfOneNameApart) {
  ASSERT_EQ(run({"report", "runs/first", "other/first"}).code, 0);
  EXPECT_THAT(read("report.html"), HasSubstr("runs/first"));
  EXPECT_THAT(read("report.html"), HasSubstr(">other/first<"));
  // What their paths begin with alike tells nothing.
  ASSERT_EQ(run({"report", path("runs/first").string(), path("other/first").string(), "--out",
                 "same.html"})
                .code,
            0);
  EXPECT_EQ(read("same.html"), read("report.html"));
}

TEST_F(Report, LeavesOutRunsThatHaveNotEndedAndSaysHowTheyGoOn) {
  std::filesystem::remove(path("runs/second/model.safetensors"));
  const std::string command = "maskgrad train blog --out runs/second --resume";
  std::string steps;  // of the newest checkpoint
  for (const auto& file : std::filesystem::directory_iterator(path("runs/second/checkpoints"))) {
    steps = std::max(steps, file.path().stem().string().substr(std::string("step_").size()));
  }
  steps.erase(0, steps.find_first_not_of('0'));
  const std::string why = "its training has not ended yet; end it as it is with: " + command +
                          " --steps " + steps + "; go on with: " + command;
  const std::vector<std::string> calls[] = {
      {"report", "runs", "--out", "r.html"},
      {"report", "runs/first", "runs/second", "--out", "r.html"}};
  for (const auto& call : calls) {
    const auto result = run(call);
    EXPECT_EQ(result.code, 0);
    EXPECT_EQ(result.err, "maskgrad: report: 'runs/second' is left out: " + why + "\n");
    EXPECT_THAT(read("r.html"), Not(HasSubstr(">second<")));
    EXPECT_THAT(read("r.html"), HasSubstr("runs/second&#39; is left out: " + why));
  }
  expect_error(run({"report", "runs/second"}), 1,
               "run: 'runs/second' has no model.safetensors: " + why);
}

TEST_F(Report, SaysHowARunOfAGpuGoesOnWhereThereIsNone) {
  if (why_no_cuda().empty()) GTEST_SKIP() << "there is a GPU";
  std::filesystem::remove(path("runs/second/model.safetensors"));
  const std::string config = read("runs/second/config.toml");
  write("runs/second/config.toml",
        std::regex_replace(config, std::regex("device = 'cpu' "), "device = 'cuda'"));
  const std::string command = "maskgrad train blog --out runs/second --resume --device cpu";
  const auto result = run({"report", "runs/second"});
  EXPECT_THAT(result.err, HasSubstr("; end it as it is with: " + command + " --steps "));
  EXPECT_THAT(result.err, HasSubstr("; go on with: " + command + "\n"));
  const auto resumed = run({"train", "blog", "--out", "runs/second", "--resume", "--device", "cpu",
                            "--progress", "off"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(exists("runs/second/model.safetensors"));
}

TEST_F(Report, LeavesOutADamagedRunAndNamesIt) {
  ASSERT_EQ(run({"report", "runs/first", "--out", "first.html"}).code, 0);
  const std::string model = read("runs/second/model.safetensors");
  write("runs/second/model.safetensors", model.substr(0, 1000));
  const std::vector<std::string> calls[] = {
      {"report", "runs", "--out", "r.html"},
      {"report", "runs/second", "runs/first", "--out", "r.html"}};
  for (const auto& call : calls) {
    std::filesystem::remove(path("r.html"));
    const auto result = run(call);
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.out, "r.html\n");
    EXPECT_THAT(result.err, ::testing::StartsWith(
                                "maskgrad: report: 1 of 2 runs: 'runs/second' is left out: "));
    EXPECT_THAT(result.err, HasSubstr("'runs/second/model.safetensors'"));
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1);
    EXPECT_THAT(read("r.html"), HasSubstr("<p class=\"note\">&#39;runs/second&#39; is left out: "));
    EXPECT_THAT(read("r.html"), HasSubstr(">first<"));
    EXPECT_THAT(read("r.html"), Not(HasSubstr(">second<")));
  }
  write("runs/first/model.safetensors", "");
  std::filesystem::remove(path("r.html"));
  expect_error(run({"report", "runs", "--out", "r.html"}), 1, "report: no run can be read: 'runs/");
  EXPECT_FALSE(exists("r.html"));
}

TEST_F(Report, NamesFoldersWithoutRuns) {
  expect_error(run({"report", "none"}), 1, "cannot read folder 'none': No such file");
  expect_error(run({"report", "d"}), 1, "'d' is no run folder, and holds none");
}

TEST_F(Report, NamesTheFileThatIsDamaged) {
  write("runs/first/epochs.csv", "epoch,steps,loss\n1,2,x\n");
  expect_error(run({"report", "runs/first"}), 1,
               "'runs/first/epochs.csv' line 2: 'x' is no number");
  write("runs/first/config.toml", "recipe = 'blog'\nlrr = 1\n");
  expect_error(run({"report", "runs/first"}), 1, "there is no setting 'lrr'");
}

}  // namespace
}  // namespace maskgrad
