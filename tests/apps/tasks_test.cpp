// The recipe tasks: trained a little with each choice, asked, explained, checked and examined.
#include <cmath>
#include <cstring>
#include <map>
#include <regex>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kExamples = "-3,4=-7|5,-2=7|-3,4";

class TasksRecipe : public test::CliTest {
 protected:
  test::CliResult train_tasks(const std::vector<std::string>& more) {
    std::vector<std::string> args = {
        "train",     "tasks", "--out",           "r",   "--features",   "8", "--heads", "2",
        "--hidden",  "16",    "--gate-features", "8",   "--batch-size", "8", "--steps", "20",
        "--samples", "80",    "--progress",      "off", "--force"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  // How many tensors the model in this folder has, from the header of its file.
  std::size_t tensors_in(const std::string& folder) const {
    const std::string file = read(folder + "/model.safetensors");
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    const auto header = nlohmann::json::parse(file.substr(sizeof length, length));
    return header.size() - header.count("__metadata__");
  }
  nlohmann::json results() const { return nlohmann::json::parse(read("r/results.json")); }
};

TEST_F(TasksRecipe, EndsWithItsFiguresForEachChoice) {
  for (const char* choice : {"gate", "query"}) {
    for (const char* from : {"operator", "examples"}) {
      const auto result = train_tasks({"--choice", choice, "--task-from", from});
      ASSERT_EQ(result.code, 0) << result.err;
      EXPECT_THAT(result.out, AllOf(HasSubstr("agreement"), HasSubstr("expert 2")));
      const auto json = results();
      EXPECT_EQ(json["count"], 4000);
      EXPECT_GE(json["agreement"], 1.0 / 3) << "the best matching has a third at least";
      EXPECT_LE(json["agreement"], 1);
      EXPECT_LE(json["accuracy"], 0.5) << "20 steps teach nothing";
      EXPECT_EQ(json["choices"][0].size(), 4u);
      for (std::size_t task = 1; task <= 3; ++task) {
        double sum = 0;
        for (std::size_t c = 1; c <= 3; ++c) {
          sum += std::stod(json["choices"][task][c].get<std::string>());
        }
        EXPECT_NEAR(sum, 100, 0.2);
      }
      EXPECT_THAT(read("r/report.html"), AllOf(HasSubstr("What is chosen for what"),
                                               HasSubstr("<th scope=\"col\">expert 2</th>")));
    }
  }
}

TEST_F(TasksRecipe, HasOneNetworkOfTheSameSizeToCompareWith) {
  const auto parameters = [&](const char* choice) {
    const auto result = train_tasks({"--choice", choice, "--progress", "lines"});
    EXPECT_EQ(result.code, 0) << result.err;
    std::smatch match;
    EXPECT_TRUE(std::regex_search(result.err, match, std::regex("\n([0-9,]+) parameters")));
    std::string digits = match[1];
    std::erase(digits, ',');
    return std::stod(digits);
  };
  const double several = parameters("gate"), one = parameters("shared");
  EXPECT_GE(one, several);
  EXPECT_LE(one, 1.5 * several);
  EXPECT_FALSE(results().contains("agreement"));
}

// What 20 steps leave is a gate that has not split the tasks.
TEST_F(TasksRecipe, WarnsOnceOfTasksThatShareAnExpert) {
  const auto result = train_tasks({});
  ASSERT_EQ(result.code, 0);
  const auto json = results();
  ASSERT_LT(json["agreement"], 0.95);
  const std::string warning = "agreement was below 0.95: operators share an expert; ";
  const std::size_t at = result.err.find("maskgrad: tasks: " + warning);
  ASSERT_NE(at, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find(warning, at + warning.size() + 20), std::string::npos);
  EXPECT_THAT(json["warnings"].dump(), AllOf(HasSubstr(warning), HasSubstr("--warm-up")));
  EXPECT_THAT(read("r/report.html"), HasSubstr(warning));
  ASSERT_EQ(train_tasks({"--choice", "shared"}).code, 0);
  EXPECT_FALSE(results().contains("warnings")) << "one network chooses nothing";
}

// The mask leads from what tells the task into no expert: followed, and tried out with poison. Each
// parameter has a gradient there, whichever expert the few samples choose.
TEST_F(TasksRecipe, HidesTheOperatorFromItsExperts) {
  for (const char* from : {"operator", "examples"}) {
    for (const char* choice : {"gate", "query"}) {
      ASSERT_EQ(train_tasks({"--choice", choice, "--task-from", from}).code, 0);
      const auto checked = run({"check", "r", "--elements", "2"});
      EXPECT_EQ(checked.code, 0) << checked.out;
      EXPECT_THAT(checked.out, AllOf(HasSubstr("leaks      holds"), HasSubstr("proof      holds"),
                                     HasSubstr("gradients  holds")));
      EXPECT_THAT(checked.out, HasSubstr(fmt::format(" {} gradients:", tensors_in("r"))));
    }
  }
}

// Whatever an untrained gate chooses: an expert that it chooses for two operators answers both
// alike. One that sees the operator does not.
TEST_F(TasksRecipe, AnswersTwoOperatorsOfOneExpertAlike) {
  const auto said = [&](const char* see) {
    EXPECT_EQ(train_tasks({"--experts-see", see}).code, 0);
    std::map<std::string, std::set<std::string>> probabilities;  // by expert
    for (const char* question : {"3+4", "3-4", "3*4"}) {
      const auto explained = run({"explain", "r", question, "--json", "e.json"});
      EXPECT_EQ(explained.code, 0) << explained.err;
      const auto json = nlohmann::json::parse(read("e.json"));
      probabilities[json["steps"]].insert(json["answers"].dump());
    }
    return probabilities;
  };
  std::size_t alike = 0;
  for (const auto& [expert, answers] : said("operands")) {
    EXPECT_THAT(expert, ContainsRegex("^expert [012]$"));
    EXPECT_EQ(answers.size(), 1u);
    ++alike;
  }
  ASSERT_LT(alike, 3u) << "no expert served two operators: train less";
  bool differ = false;
  for (const auto& [expert, answers] : said("all")) differ = differ || answers.size() > 1;
  EXPECT_TRUE(differ);
}

TEST_F(TasksRecipe, AnswersAndSaysWhichExpertWasChosen) {
  ASSERT_EQ(train_tasks({}).code, 0);
  const auto explained = run({"explain", "r", "-3*4"});
  ASSERT_EQ(explained.code, 0) << explained.err;
  EXPECT_THAT(explained.out, ContainsRegex("expert [012]"));
  EXPECT_THAT(run({"predict", "r", "-3*4"}).out, ContainsRegex("^-?[0-9]+\n$"));
  EXPECT_THAT(run({"predict", "r", "--show-work", "-3*4"}).out,
              ContainsRegex("^expert [012]  -?[0-9]+\n$"));
  for (const char* number : {"0", "12", "-10", "-9223372036854775808"}) {
    const std::string says = fmt::format("numbers from -9 to 9 without 0, not on {}\n", number);
    expect_error(run({"predict", "r", fmt::format("{}*4", number)}), 1, says);
    expect_error(run({"predict", "r", fmt::format("4*{}", number)}), 1, says);
  }
  expect_error(run({"predict", "r", "-3"}), 1, "has none of +-* between two numbers");
  expect_error(run({"predict", "r", "-3*a"}), 1, "is no number");
}

TEST_F(TasksRecipe, ReadsExamplesThatTellOneOperator) {
  ASSERT_EQ(train_tasks({"--task-from", "examples"}).code, 0);
  EXPECT_EQ(run({"explain", "r", kExamples}).code, 0);
  const auto refuses = [&](const char* text, const char* why) {
    expect_error(run({"predict", "r", text}), 1, why);
  };
  refuses("-3*4", "is not written as");
  refuses("-3,4=2|5,-2=7|-3,4", "no operator gives the answers of both examples");
  refuses("2,2=4|2,2=4|-3,4", "the examples fit 2 operators, +*");
  refuses("2,2|2,2=4|-3,4", "is no example such as");
  refuses("2,2=4|3,2=5|-3*4", "has none of , between two numbers");
}

// Trained long enough for a share of right answers that is not 0.
TEST_F(TasksRecipe, IsExaminedAgainByEval) {
  ASSERT_EQ(train_tasks({"--steps", "300", "--batch-size", "32", "--lr", "0.02"}).code, 0);
  const auto examined = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", "r", "--json", "e.json"});
    const auto result = run(more);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("expert 0"));
    const auto json = nlohmann::json::parse(read("e.json"));
    EXPECT_EQ(json["samples"], 1000) << "what was held out, whatever is asked besides";
    EXPECT_GT(json["accuracy"], 0);
    EXPECT_THAT(result.out,
                HasSubstr(fmt::format("\naccuracy   {:.6f}\n", json["accuracy"].get<double>())));
    return json["results"];
  };
  const auto few = examined({"--samples", "70"});
  EXPECT_EQ(few["count"], 70);
  const double right = 70 * few["accuracy"].get<double>();
  EXPECT_NEAR(right, std::round(right), 1e-9);
  EXPECT_EQ(few["choices"][0].size(), 4u);
  EXPECT_THAT(few["warnings"].dump(), HasSubstr("agreement was below 0.95"));
  EXPECT_EQ(examined({})["count"], 4000);
  EXPECT_EQ(examined({"--samples", "4500"})["count"], 4500) << "more than is enough";
}

// The page of a run that went on shows what it came to before.
TEST_F(TasksRecipe, ReportsAfterWhichStepItsResultsAre) {
  ASSERT_EQ(train_tasks({}).code, 0);
  const std::string row = "<tr><th scope=\"row\">after step</th><td>";
  EXPECT_THAT(read("r/report.html"), AllOf(HasSubstr(row + "20</td>"), Not(HasSubstr("since."))));
  auto json = results();
  json["step"] = 10;
  write("r/results.json", json.dump());
  ASSERT_EQ(run({"report", "r"}).code, 0);
  EXPECT_THAT(read("r/report.html"),
              AllOf(HasSubstr(row + "10</td>"),
                    HasSubstr("This is r after step 10. It has gone on to step 20 since."),
                    HasSubstr("r: after step 10: agreement was below 0.95")));
  json.erase("step");
  write("r/results.json", json.dump());
  ASSERT_EQ(run({"report", "r"}).code, 0);
  const std::string of_no_step = read("r/report.html");
  EXPECT_THAT(of_no_step, Not(HasSubstr("This is r after step")));
  for (const char* damaged : {"-5", "18446744073709551615", "9223372036854775808", "1.5"}) {
    json["step"] = nlohmann::json::parse(damaged);
    write("r/results.json", json.dump());
    ASSERT_EQ(run({"report", "r"}).code, 0);
    EXPECT_TRUE(read("r/report.html") == of_no_step) << damaged;
  }
}

TEST_F(TasksRecipe, SaysInItsReportWhoChoseTheExpert) {
  ASSERT_EQ(train_tasks({}).code, 0);
  EXPECT_THAT(read("r/report.html"), HasSubstr("<p>The gate chooses <code>expert "));
  ASSERT_EQ(train_tasks({"--choice", "query"}).code, 0);
  EXPECT_THAT(read("r/report.html"), HasSubstr("<p>Attention chooses <code>expert "));
}

// From the checkpoint of the first half: within the phase of sharing.
TEST_F(TasksRecipe, GoesOnAsIfItHadNotBeenStopped) {
  ASSERT_EQ(train_tasks({"--alone", "0.2"}).code, 0);
  const std::string whole = read("r/model.safetensors");
  std::filesystem::remove(path("r/checkpoints/step_000000000020.safetensors"));
  std::filesystem::remove(path("r/model.safetensors"));
  const auto again = run({"train", "tasks", "--out", "r", "--resume"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("steps      10 in "));
  EXPECT_TRUE(read("r/model.safetensors") == whole);
}

// An average of the weights is what is saved.
TEST_F(TasksRecipe, EndsWithFiguresOfTheModelThatItSaves) {
  for (const char* ema : {"0", "0.99"}) {
    ASSERT_EQ(train_tasks({"--ema", ema, "--lr", "0.05"}).code, 0);
    auto at_end = results();
    EXPECT_EQ(at_end["step"], 20);
    at_end.erase("step");
    ASSERT_EQ(run({"eval", "r", "--json", "e.json"}).code, 0);
    EXPECT_EQ(nlohmann::json::parse(read("e.json"))["results"], at_end) << ema;
  }
}

// The best matching of a batch would be the better, the smaller the batch.
TEST_F(TasksRecipe, HasFiguresThatDoNotHangOnTheBatches) {
  ASSERT_EQ(train_tasks({"--alone", "0.2", "--val-every", "5"}).code, 0);
  const auto figures = [&](const char* batch_size) {
    EXPECT_EQ(run({"eval", "r", "--batch-size", batch_size, "--json", "e.json"}).code, 0);
    auto json = nlohmann::json::parse(read("e.json"));
    for (const char* other : {"results", "device"}) json.erase(other);
    return json;
  };
  const auto small = figures("4"), large = figures("1000");
  ASSERT_EQ(small.size(), large.size());
  for (const auto& [name, value] : small.items()) {
    EXPECT_NEAR(value.get<double>(), large[name].get<double>(), 1e-5) << name;
  }
  EXPECT_TRUE(small.contains("accuracy"));
  for (const char* table : {"r/epochs.csv", "r/validation.csv"}) {
    EXPECT_THAT(read(table), AllOf(HasSubstr("accuracy"), Not(HasSubstr("agreement"))));
  }
}

TEST_F(TasksRecipe, RefusesPhasesAndSizesThatDoNotFit) {
  expect_error(train_tasks({"--warm-up", "0.9"}), 2, "the phases take");
  expect_error(train_tasks({"--heads", "3"}), 2, "--heads must cut the features of the gate");
  expect_error(train_tasks({"--steps", "0", "--epochs", "1"}), 2, "--steps must be above 0");
}

}  // namespace
}  // namespace maskgrad
