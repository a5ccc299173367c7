// The sentences of a report: what they say must be true of any runs.
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/train/report/report_sections.hpp>

#include "support/markup.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

ReportRun run_of(std::string name, const std::vector<double>& losses,
                 std::vector<std::pair<std::string, std::string>> settings = {}) {
  ReportRun run;
  run.name = std::move(name);
  run.settings = std::move(settings);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto epoch = static_cast<double>(i + 1);
    run.epochs.push_back({{"epoch", epoch},
                          {"steps", 100 * epoch},
                          {"loss", losses[i]},
                          {"accuracy", 1 - losses[i] / 8},
                          {"perplexity", losses[i]}});
  }
  return run;
}

ReportRun with_validation(ReportRun run, std::map<double, double> losses, BestValidation best) {
  run.validation = {{"loss", std::move(losses)}};
  run.best = best;
  return run;
}

std::string said(const std::vector<ReportRun>& runs,
                 const std::vector<ReferenceCurve>& references = {}) {
  const std::string text = conclusions({runs, references});
  EXPECT_EQ(test::MarkupReader(text).fault(), "");
  return text;
}

TEST(Conclusions, SayWhetherAnyFigureIsHeldOut) {
  EXPECT_THAT(
      said({run_of("a", {2, 1})}),
      HasSubstr("No figure of a is held out: all are of the samples that it was trained on"));
  const ReportRun held = with_validation(run_of("b", {2, 1}), {{1, 3}, {2, 2.5}}, {2.5, 200});
  EXPECT_THAT(said({held}), HasSubstr("b ends with loss 2.5000 on validation data, and 1.0000 in "
                                      "training.</li>"));
  EXPECT_THAT(said({held}), Not(HasSubstr("held out")));
  ReportRun several = held;
  for (EpochRow& row : several.epochs) {
    row.emplace_back("cost", 0);
    row.emplace_back("hits", 0.75);
  }
  several.validation.push_back({"cost", {{1, 0}, {2, 0}}});
  several.validation.push_back({"hits", {{1, 0.25}, {2, 0.5}}});
  EXPECT_THAT(said({several}), HasSubstr("b ends with loss 2.5000 and hits 0.5000 on validation "
                                         "data, and loss 1.0000 and hits 0.7500 in training."));
  EXPECT_THAT(said({run_of("a", {1}), held, run_of("c", {1})}),
              HasSubstr("No figure of a and c is held out: all are of the samples that these runs "
                        "were trained on"));
}

TEST(Conclusions, SayWhereFiguresThatAreHeldOutAre) {
  ReportRun kept = run_of("b", {2, 1});
  kept.held_out = "maskgrad eval b measures them.";
  const std::string text = said({run_of("a", {1}), kept});
  EXPECT_THAT(text, HasSubstr("No figure of a is held out"));
  EXPECT_THAT(text, HasSubstr("No figure of b here is held out. maskgrad eval b measures them."));
  const ReportRun validated = with_validation(kept, {{1, 3}, {2, 2.5}}, {2.5, 200});
  EXPECT_THAT(said({validated}), Not(HasSubstr("maskgrad eval")));
}

TEST(Conclusions, SayWhereTheBestValidationWasOnlyWhereItIsOver) {
  const auto of = [](double last, double best) {
    return said({with_validation(run_of("a", {2, 1}), {{1, 1.5}, {2, last}}, {best, 1100})});
  };
  EXPECT_THAT(
      of(1.75, 1.5),
      HasSubstr("The validation loss was smallest after step 1,100, 1.5000, and has grown by "
                "0.2500 since"));
  EXPECT_THAT(of(1.5, 1.5), Not(HasSubstr("smallest")));
}

TEST(Conclusions, RankRunsByValidationAndElseByTraining) {
  EXPECT_THAT(said({run_of("key", {3, 2}), run_of("query", {3, 1.5}), run_of("none", {3, 1.5})}),
              HasSubstr("Training loss at the end, the best first: query and none 1.5000; key "
                        "2.0000 (+0.5000)."));
  const std::vector<ReportRun> runs = {with_validation(run_of("a", {1}), {{1, 4}}, {4, 100}),
                                       with_validation(run_of("b", {2}), {{1, 3}}, {3, 100}),
                                       run_of("c", {0.5})};
  EXPECT_THAT(said(runs), HasSubstr("Validation loss at the end, the best first: b 3.0000; a "
                                    "4.0000 (+1.0000)."));
  EXPECT_THAT(said(runs), Not(HasSubstr("Training loss at the end")));
  EXPECT_THAT(said(runs), HasSubstr("Training accuracy at the end, the best first: c 0.9375; a "));
  EXPECT_THAT(said(runs), Not(HasSubstr("perplexity at the end")))
      << "nobody knows which is better";
  EXPECT_THAT(said({run_of("a", {1}), run_of("b", {1})}),
              HasSubstr("the best first: the same for a and b 1.0000."));
}

ReportRun of_task(ReportRun run, std::string task, std::string data = {}) {
  run.task = std::move(task);
  run.training_data = std::move(data);
  return run;
}

TEST(Conclusions, RankNoRunsOfDifferentTasksAmongEachOther) {
  const std::string two = said({of_task(run_of("a", {1}, {{"lr", "1"}}), "blog"),
                                of_task(run_of("b", {2}, {{"lr", "1"}}), "text")});
  EXPECT_THAT(two, Not(HasSubstr("best first")));
  EXPECT_THAT(two, Not(HasSubstr("differ in")));
  EXPECT_THAT(two, HasSubstr("Runs of different tasks are not ranked among each other: a (blog); "
                             "b (text).</li>"));
  const std::string three = said({of_task(run_of("a", {3}, {{"lr", "1"}}), "blog"),
                                  of_task(run_of("b", {2}, {{"lr", "1"}}), "text"),
                                  of_task(run_of("c", {1}, {{"lr", "2"}}), "blog")});
  EXPECT_THAT(three, HasSubstr("the best first: c 1.0000; a 3.0000 (+2.0000)."));
  EXPECT_THAT(three, Not(HasSubstr("b 2.0000")));
  EXPECT_THAT(three, HasSubstr("<li>a and c differ in lr."));
  EXPECT_THAT(three, HasSubstr("among each other: a and c (blog); b (text)."));
}

// Of recipes that draw their data, each seed has other ones.
TEST(Conclusions, RankRunsOnDifferentDataAndSaySo) {
  const std::string trained =
      said({of_task(run_of("a", {1}), "blog", "x"), of_task(run_of("b", {2}), "blog", "y"),
            of_task(run_of("c", {3}), "blog", "x"), of_task(run_of("d", {4}), "blog")});
  EXPECT_THAT(trained, HasSubstr("the best first: a 1.0000; b 2.0000 (+1.0000); c 3.0000"));
  EXPECT_THAT(trained, HasSubstr("<li>Trained on different data: a and c; b. Part of a difference "
                                 "may come from that.</li>"));
  EXPECT_EQ(trained.find("different data"), trained.rfind("different data")) << "once";
  for (const char* other : {"x", ""}) {
    EXPECT_THAT(
        said({of_task(run_of("a", {1}), "blog", "x"), of_task(run_of("b", {2}), "blog", other)}),
        Not(HasSubstr("different data")))
        << "of an older run nobody knows";
  }
}

TEST(Conclusions, AskOnWhatRunsWereMeasuredAndNotFromWhatTheyLearned) {
  const auto held = [](const char* name, double loss, const char* data, const char* validation) {
    ReportRun run =
        with_validation(of_task(run_of(name, {1}), "blog", data), {{1, loss}}, {loss, 100});
    run.epochs.front().pop_back();  // perplexity, and
    run.epochs.front().pop_back();  // accuracy, which have no validation
    run.validation_data = validation;
    return run;
  };
  const std::string same = said({held("a", 2, "x", "v"), held("b", 1, "y", "v")});
  EXPECT_THAT(same, HasSubstr("Validation loss at the end, the best first: b 1.0000; a 2.0000"));
  EXPECT_THAT(same, Not(HasSubstr("different data")));
  EXPECT_THAT(said({held("a", 2, "x", "v"), held("b", 1, "x", "w")}),
              HasSubstr("<li>Validated on different data: a; b. Part of"));
}

TEST(Conclusions, RankEachTaskByWhatItsOwnRunsHave) {
  const auto held = [](ReportRun run) {
    return with_validation(std::move(run), {{1, 2}}, {2, 100});
  };
  const std::string text =
      said({held(of_task(run_of("a", {3}), "blog")), of_task(run_of("b", {1}), "blog"),
            held(of_task(run_of("c", {4}), "text"))});
  EXPECT_THAT(text, HasSubstr("Training loss at the end, the best first: b 1.0000; a 3.0000"));
  EXPECT_THAT(text, Not(HasSubstr("Validation loss at the end")));
}

// 100 steps are an epoch of run_of().
ReportRun with_part(ReportRun run, double epoch, double steps, double loss) {
  run.epochs.push_back({{"epoch", epoch}, {"steps", steps}, {"loss", loss}});
  return run;
}

TEST(Conclusions, RankByNoMeanOfAPartOfAnEpoch) {
  const std::string text =
      said({run_of("a", {3, 1}), with_part(run_of("b", {3, 2}), 2.01, 201, 1e-6)});
  EXPECT_THAT(text, HasSubstr("the best first: a 1.0000; b 2.0000 (+1.0000)."));
  EXPECT_THAT(text, HasSubstr("b ended within an epoch: its last training figures are the mean of "
                              "1 step; the epoch before counts here.</li>"));
  EXPECT_THAT(text, Not(HasSubstr("e-06")));
  EXPECT_THAT(
      said({run_of("a", {3, 1}), of_task(with_part(run_of("b", {3, 2}), 2.01, 201, 1e-6), "text")}),
      Not(HasSubstr("counts here")))
      << "it is alone in its task";
  const std::string within_first =
      said({run_of("a", {3, 1}), with_part(run_of("b", {}), 0.07, 7, 1e-6)});
  EXPECT_THAT(within_first, Not(HasSubstr("best first")));
  EXPECT_THAT(within_first, HasSubstr("the mean of 7 steps, and do not count here."));
  EXPECT_THAT(
      said({with_validation(with_part(run_of("c", {}), 0.07, 7, 0.5), {{0.07, 2}}, {2, 7})}),
      HasSubstr("loss 2.0000 on validation data, and 0.5000 (mean of 7 steps) in training"));
}

TEST(Conclusions, SayWhatDiffersAndThatOneRunIsOneDraw) {
  const auto with = [](std::string name, const char* mask, const char* seed) {
    return run_of(std::move(name), {1}, {{"lr", "1"}, {"mask", mask}, {"seed", seed}});
  };
  EXPECT_THAT(
      said({with("a", "key", "1"), with("b", "none", "1")}),
      HasSubstr("The runs differ in mask. Where there is one run of each kind, a difference "
                "may be that of their random numbers"));
  EXPECT_THAT(said({with("a", "key", "1"), with("b", "key", "2")}),
              HasSubstr("The runs differ in seed.</li>"));
  EXPECT_THAT(said({with("a", "key", "1"), with("b", "none", "2")}),
              HasSubstr("The runs differ in mask and seed."));
  EXPECT_THAT(said({with("a", "key", "1"), with("b", "key", "1")}),
              HasSubstr("The runs have equal settings."));
  EXPECT_THAT(said({with("a", "key", "1")}), Not(HasSubstr("differ")));
}

TEST(Conclusions, PutRunsAndReferenceBesideTheBandOfOtherSeeds) {
  ReferenceCurve article{"article", "loss", {1, 0.5, 3.5}};
  article.band = {"Five runs", {1, 1, 1}, {2, 2, 2}};
  const std::vector<ReportRun> runs = {run_of("a", {1.5, 1.5, 2.25}), run_of("b", {1, 1, 1})};
  const std::string text = said(runs, {article});
  EXPECT_THAT(text, HasSubstr("In training loss, a ends 1.2500 below article (epoch 3); b ends "
                              "2.5000 below article (epoch 3)."));
  EXPECT_THAT(
      text, HasSubstr("Five runs end between 1.0000 and 2.0000. article lies below all of them in "
                      "1 of 3 epochs, within their range in 1 and above all of them in 1. "
                      "a lies within their range in 2 of 3 epochs and above all of them in 1. "
                      "b lies within their range in all 3 epochs.</li>"));
  article.runs = {1};
  EXPECT_THAT(said(runs, {article}), HasSubstr("In training loss, b ends 2.5000 below"));
  EXPECT_THAT(said(runs, {article}), Not(HasSubstr("a lies")));
}

TEST(Conclusions, SayTheSameOfSeveralRunsOnce) {
  const auto held = [](const char* name) {
    return with_validation(run_of(name, {2, 1}), {{1, 3}, {2, 2.5}}, {2.5, 200});
  };
  ReferenceCurve article{"article", "loss", {1, 0.5}};
  article.band = {"Five runs", {1, 1}, {2, 2}};
  const std::string text = said({held("a"), run_of("b", {1}), held("c")}, {article});
  EXPECT_THAT(text,
              HasSubstr("<li>a and c end with loss 2.5000 on validation data, and 1.0000 in"));
  EXPECT_THAT(text, HasSubstr("a and c end 0.5000 above article (epoch 2); b ends level with"));
  EXPECT_THAT(text,
              HasSubstr(" a and c lie within their range in all 2 epochs. b lies within their "
                        "range in the one epoch."));
}

TEST(Conclusions, CompareWithAReferenceAtTheLastEpochOfBoth) {
  EXPECT_THAT(said({run_of("a", {1, 2, 3})}, {{"old", "loss", {1, 2}}}),
              HasSubstr("a ends level with old (epoch 2)"));
  EXPECT_THAT(said({run_of("a", {1, kNan})}, {{"old", "loss", {1, 2}}}),
              Not(HasSubstr("In training loss")));
  EXPECT_THAT(said({run_of("a", {1})}, {{"old", "other", {1}}}),
              Not(HasSubstr("In training loss")));
}

TEST(Conclusions, AreNoneWithoutAnEpochAndSurviveWhatIsNotFinite) {
  EXPECT_EQ(said({ReportRun{}}), "");
  EXPECT_THAT(said({run_of("a", {kNan}), run_of("b", {kNan})}), Not(HasSubstr("best first")));
}

TEST(ReferenceNotes, LinkToTheSource) {
  const std::vector<ReportRun> runs = {run_of("a", {1})};
  ReferenceCurve article{"article", "loss", {1}};
  const auto notes = [&] {
    const std::vector<ReferenceCurve> references = {article};
    return reference_notes({runs, references});
  };
  EXPECT_EQ(notes(), "");
  article.about = "A & B.";
  article.link = "javascript:alert(1)";
  EXPECT_EQ(notes(), "<p class=\"note\">article: A &amp; B.</p>\n");
  article.link = "https://example.org/?a=1&b=2";
  EXPECT_THAT(notes(), HasSubstr("<a href=\"https://example.org/?a=1&amp;b=2\">"));
}

}  // namespace
}  // namespace maskgrad
