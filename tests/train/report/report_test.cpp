#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/report/report.hpp>
#include <maskgrad/train/report/report_sections.hpp>

#include "support/errors.hpp"
#include "train/report/page.hpp"

namespace maskgrad {
namespace {

using test::count_of;
using test::error_of;
using test::MarkupReader;
using test::page_of;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr const char* kHostile = "</td></style><script>alert(1)</script>\" x='\x02\xc3";

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

TEST(RenderReport, ShowsFiguresOfExaminationsAndTheTimeThatMasksSave) {
  std::vector<ReportRun> runs = {make_run("a", {2, 1}), make_run("b", {2, 1})};
  EXPECT_THAT(page_of(runs), Not(HasSubstr("id=\"results\"")));
  runs[0].results = {{"accuracy", 0.9875},
                     {"us_per_step_hard", 1500},
                     {"us_per_step_full", 2000},
                     {"us_per_mask", 400}};
  runs[1].results = {{"agreement", 0.5}};
  const std::string page = page_of(runs);
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">accuracy</th><td>0.9875</td><td>–</td></tr>"));
  EXPECT_THAT(page,
              HasSubstr("<tr><th scope=\"row\">agreement</th><td>–</td><td>0.5000</td></tr>"));
  EXPECT_THAT(page, HasSubstr("<td>1500</td>"));
  EXPECT_THAT(page,
              HasSubstr("Behind its mask a step of a takes 75 % of the time of one that reads "
                        "all. Making the mask takes 20 % more."));
  runs[0].results = {{"us_per_step_full", 2000}};
  EXPECT_THAT(page_of(runs), Not(HasSubstr("Behind its mask"))) << "it has none";
}

TEST(RenderReport, SaysAfterWhichStepResultsAreAndWhichAreOlderThanTheRun) {
  std::vector<ReportRun> runs = {make_run("a", {2, 1}), make_run("b<", {2, 1})};
  for (ReportRun& run : runs) {
    run.results = {{"accuracy", 0.5}};
    run.choices = {{"operator", "expert 0"}, {"+", "100 %"}};
  }
  EXPECT_THAT(page_of(runs), Not(HasSubstr("after step"))) << "nobody knows";
  runs[0].results_step = 200;
  const std::string of_the_end = page_of(runs);
  EXPECT_THAT(of_the_end,
              HasSubstr("<tr><th scope=\"row\">after step</th><td>200</td><td>–</td></tr>"));
  EXPECT_THAT(of_the_end, Not(HasSubstr("since.")));
  runs[1].results_step = 100;
  const std::string page = page_of(runs);
  EXPECT_THAT(page, HasSubstr("after step</th><td>200</td><td>100</td></tr>"));
  EXPECT_THAT(page, Not(HasSubstr("This is a")));
  EXPECT_EQ(count_of(page, "This is b&lt; after step 100. It has gone on to step 200 since."), 2U)
      << "of its figures, and of its choices";
}

TEST(RenderReport, DrawsWhatAMaskKeepsOverTheText) {
  std::vector<ReportRun> runs = {make_run("a", {2, 1})};
  EXPECT_THAT(page_of(runs), Not(HasSubstr("What the mask keeps")));
  runs[0].kept = {{{"x", true, TokenRole::kNeeded},
                   {"<", false, TokenRole::kJunk},
                   {"=", false, TokenRole::kOther}}};
  const std::string page = page_of(runs);
  EXPECT_THAT(page, HasSubstr("<p><span class=\"token needed\">x</span>"
                              "<s class=\"token junk\">&lt;</s><s class=\"token\">=</s></p>"));
}

TEST(RenderReport, ShowsValidationBesideTraining) {
  std::vector<ReportRun> runs = {make_run("a", {2, 1}), make_run("b", {2, 1})};
  EXPECT_THAT(page_of(runs), Not(HasSubstr("validation loss")));
  runs[1].validation = {{"loss", {{0.5, 3.25}, {2, 2.75}}}};
  runs[1].best = BestValidation{2.75, 200};
  const std::string page = page_of(runs);
  EXPECT_THAT(page, HasSubstr("validation loss by epoch"));
  EXPECT_THAT(page, Not(HasSubstr("(no values)"))) << "the legend names what is drawn";
  EXPECT_THAT(page, HasSubstr("b, epoch 0.5: 3.25"));
  EXPECT_THAT(page, HasSubstr("final validation loss"));
  EXPECT_THAT(page, HasSubstr("best validation loss"));
  EXPECT_THAT(page, Not(HasSubstr("validation accuracy")));
}

TEST(ReportTitle, NamesEachTaskOnceAndCountsWhatIsTooMany) {
  const auto title = [](const std::vector<std::string>& tasks) {
    std::vector<ReportRun> runs(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i) runs[i].task = tasks[i];
    return report_title(runs);
  };
  EXPECT_EQ(title({"blog", "blog"}), "maskgrad: blog");
  EXPECT_EQ(title({"a", "b", "a", "c", "d"}), "maskgrad: a, b, c and d");
  EXPECT_EQ(title({"a", "b", "c", "d", "e"}), "maskgrad: a, b, c and 2 more");
}

TEST(RenderReport, MarksTheMeanOfAFewStepsAndDrawsNone) {
  ReportRun run = make_run("a", {2, 1});
  const std::string whole = page_of({run});
  EXPECT_THAT(whole, Not(HasSubstr("mean of")));
  EXPECT_THAT(whole, HasSubstr("<title>a, epoch 2: 1</title>"));
  run.epochs.push_back({{"epoch", 2.01}, {"steps", 201}, {"loss", 1e-6}});
  const std::string page = page_of({run});
  EXPECT_THAT(page, HasSubstr("final training loss</th><td>1.000e-06 (mean of 1 step)</td>"));
  EXPECT_THAT(page, HasSubstr("a ended within an epoch: its last step is not drawn"));
  EXPECT_THAT(page, Not(HasSubstr("<title>a, epoch 2.01")));
  EXPECT_THAT(page, Not(HasSubstr("(log")));
  run.epochs.back() = {{"epoch", 2.03}, {"steps", 203}, {"loss", 1e-6}};
  EXPECT_THAT(page_of({run}), HasSubstr("epoch: the mean of its last 3 steps is not drawn"));
  run.epochs.back().pop_back();
  EXPECT_THAT(page_of({run}), HasSubstr("<title>a, epoch 2: 1</title>")) << "it has no such value";
  EXPECT_THAT(page_of({run}), Not(HasSubstr("is not drawn")));
  run.epochs.back() = {{"epoch", 2.01}, {"steps", 201}, {"loss", 1e-6}};
  run.epochs.erase(run.epochs.begin(), run.epochs.begin() + 2);  // there is nothing else to draw
  EXPECT_THAT(page_of({run}), HasSubstr("<title>a, epoch 2.01: 1e-06</title>"));
}

TEST(RenderReport, CountsTheStepsOfAPartOfAnEpoch) {
  const auto steps = [](std::vector<EpochRow> rows) { return steps_in_part(rows); };
  EXPECT_EQ(steps({}), 0);
  EXPECT_EQ(steps({{{"epoch", 2}, {"steps", 200}}}), 0);
  EXPECT_EQ(steps({{{"epoch", 0.07}, {"steps", 7}}}), 7);
  EXPECT_EQ(steps({{{"epoch", 1}, {"steps", 90}}, {{"epoch", 1.1}, {"steps", 100}}}), 10);
  EXPECT_EQ(steps({{{"epoch", 76.002}, {"steps", 38001}}}), 1) << "the table was begun anew";
  EXPECT_EQ(steps({{{"epoch", kNan}, {"steps", kNan}}}), 0);
}

TEST(RenderReport, PutsWhatIsHeldOutFirst) {
  ReportRun run = make_run("a", {2, 1});
  run.validation = {{"loss", {{1, 3.25}, {2, 2.75}}}, {"accuracy", {{2, 0.0625}}}};
  run.best = BestValidation{2.75, 200};
  const std::string page = page_of({run});
  const auto comes_first = [&](const char* first, const char* second) {
    const std::size_t at = page.find(first), other = page.find(second);
    return at != std::string::npos && other != std::string::npos && at < other;
  };
  EXPECT_TRUE(comes_first("final validation loss</th><td>2.7500<", "final training loss</th>"));
  EXPECT_TRUE(comes_first("final validation accuracy</th><td>0.0625<", "final training loss</th>"));
  EXPECT_TRUE(comes_first("validation loss by epoch", "training loss by epoch"));
  EXPECT_TRUE(comes_first("validation accuracy by epoch", "training accuracy by epoch"));
}

TEST(RenderReport, ShowsWhatTheModelsAnswer) {
  std::vector<ReportRun> runs = {make_run("a", {1}), make_run("b", {1})};
  EXPECT_THAT(page_of(runs), Not(HasSubstr("id=\"answers\"")));
  runs[0].examples = {{"1+2", "3", {{"3", 0.625}, {"4", 0.25}, {"5", 0.0625}, {"6", 0.03}}},
                      {kHostile, "", {{kHostile, 0.5}}}};
  runs[1].examples = {{"1+2", "3", {{"4", 0.5}}}, {"1+1", "2", {}}};
  const std::string page = page_of(runs);
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">1+2</th><td>3</td>"
                              "<td class=\"right\">✓ 3 (0.62), 4 (0.25), 5 (0.06)</td>"
                              "<td>4 (0.50)</td></tr>"));
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">1+1</th><td>2</td><td>–</td>"
                              "<td>no answer</td></tr>"));
  EXPECT_THAT(page, HasSubstr("Right answers: a has 1 of 1, b has 0 of 2."));
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

TEST(Report, TakesTheTimeOfAStepFromWholeEpochs) {
  ReportRun run = make_run("one", {2, 1});
  run.epochs.push_back({{"epoch", 2.5}, {"steps", 250}, {"loss", 1}, {"seconds", 9}});
  EXPECT_THAT(page_of({run}), HasSubstr("ms a step (median of epochs)</th><td>5.000<"));
  EXPECT_THAT(page_of({run}), HasSubstr(">seconds</th><td>10.0<"));
  run.epochs.back().pop_back();
  EXPECT_THAT(page_of({run}), HasSubstr("ms a step (median of epochs)</th><td>5.000<"));
  EXPECT_THAT(page_of({run}), HasSubstr(">seconds</th><td>–<")) << "not all of it is known";
  run.epochs.erase(run.epochs.begin(), run.epochs.begin() + 2);
  EXPECT_THAT(page_of({run}), HasSubstr("ms a step (median of epochs)</th><td>–<"));
}

TEST(Report, SaysThatNoEpochWasFinished) {
  EXPECT_THAT(page_of({make_run("one", {})}), HasSubstr("No epoch was finished."));
  EXPECT_THAT(page_of({make_run("one", {1})}), Not(HasSubstr("No epoch was finished.")));
}

TEST(Report, TellsAPartOfAnEpochFromAWholeOne) {
  EXPECT_EQ(epochs_text(2), "2");
  EXPECT_EQ(epochs_text(1.25), "1.25");
  EXPECT_EQ(epochs_text(0.003), "0.003");
  EXPECT_EQ(epochs_text(1.996), "1.996");
  EXPECT_EQ(epochs_text(1.99996), "1.99996");
  EXPECT_EQ(epochs_text(1.0 / 3), "0.33");
  EXPECT_EQ(epochs_text(std::nextafter(1.0, 0.0)), "0.9999999999999999");
}

TEST(Report, DrawsOfAccuraciesAloneAllThatTheyCouldBe) {
  const std::string page = page_of({make_run("one", {0.5, 0.5})});
  const auto chart = [&](const std::string& metric) {
    const std::size_t begin = page.find("aria-label=\"training " + metric + " by epoch");
    return page.substr(begin, page.find("</svg>", begin) - begin);
  };
  EXPECT_THAT(chart("accuracy"), HasSubstr(">1.0</text>"));
  EXPECT_THAT(chart("loss"), Not(HasSubstr(">1.0</text>")));
  EXPECT_THAT(chart("loss"), HasSubstr("</text>"));
}

TEST(Report, SumsUpEachRun) {
  ReportRun run = make_run("one", {2, 1});
  run.parameters.emplace_back().shape = Shape{300, 150};
  const std::string page = page_of({run});
  for (const char* row :
       {"final training loss</th><td>1.0000<", "final training accuracy</th><td>0.1250<",
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
  EXPECT_THAT(page, Not(HasSubstr("(no values)")));
  EXPECT_THAT(page, HasSubstr("final training loss</th><td>–</td><td>1.0000</td>"));
  EXPECT_EQ(MarkupReader(page_of({ReportRun{}})).fault(), "");
}

}  // namespace
}  // namespace maskgrad
