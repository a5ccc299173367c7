// maskgrad predict and eval: a trained run at work.
#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A run that was trained a little.
class Predict : public test::CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    ASSERT_EQ(train({"--out", "r", "--epochs", "2", "--lr", "0.01"}).code, 0);
  }
};

TEST_F(Predict, AnswersEachTextOnALineOfItsOwn) {
  const auto result = run({"predict", "r", "x=1,y=2:x+y", "y=-9,x=3:x-y"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "");
  ASSERT_EQ(result.out.size(), 4U) << result.out;
  EXPECT_EQ(result.out[1], '\n');
  EXPECT_EQ(result.out[3], '\n');
}

TEST_F(Predict, AnswersEachLineOfStandardInputTheSame) {
  const std::string answers = run({"predict", "r", "x=1,y=2:x+y", "", "y=-9,x=3:x-y"}).out;
  for (const char* input : {"x=1,y=2:x+y\n\ny=-9,x=3:x-y\n", "x=1,y=2:x+y\r\n\r\ny=-9,x=3:x-y"}) {
    const auto result = run({"predict", "r"}, {.input = input});
    EXPECT_EQ(result.code, 0);
    EXPECT_EQ(result.out, answers);
    EXPECT_EQ(result.err, "");
  }
  EXPECT_EQ(answers.substr(1, 2), "\n\n") << "no question, no answer";
  EXPECT_EQ(run({"predict", "r"}).out, "");
}

TEST_F(Predict, PutsAnErrorInTheLineOfEachQuestionThatItCannotRead) {
  const std::string why = "blog: \"x=1,y=2:x+y+y+y+y+y+y\" has 21 characters, at most 20 fit";
  const auto result =
      run({"predict", "r"}, {.input = "x=1,y=2:x+y\nx=1,y=2:x+y+y+y+y+y+y\n\nä\nx=1,y=2:x+y\n"});
  const std::string answer = result.out.substr(0, 2);
  EXPECT_EQ(result.out, answer + "error: " + why +
                            "\n\nerror: arithmetic: 'ä' in 'ä' is not one of the characters "
                            "\" :|xy=,+-*0123456789\"\n" +
                            answer);
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "maskgrad: predict: no answer to 2 of 5 lines; line 2: " + why + "\n");
}

TEST_F(Predict, GoesOnBehindATextThatItCannotRead) {
  const auto result = run({"predict", "r", "what?", "x=1,y=2:x+y"});
  EXPECT_THAT(result.out, StartsWith("error: arithmetic: 'w' in 'what?' is not one of the"));
  EXPECT_TRUE(result.out.ends_with("\n" + run({"predict", "r", "x=1,y=2:x+y"}).out));
  expect_error({result.code, "", result.err}, 1,
               "predict: no answer to 1 of 2 questions; question 1: arithmetic: 'w' in 'what?'");
}

TEST_F(Predict, RefusesAnEmptyQuestionAndStepsThatNobodyWrites) {
  expect_error(run({"predict", "r", ""}), 2, "usage: the question is empty");
  expect_error(run({"predict", "r", "--show-work", "x=1,y=2:x+y"}), 2,
               "--show-work: the recipe blog writes nothing on its way to an answer");
  expect_error(run({"predict", "r", "--shw"}), 2, "did you mean '--show-work'?");
}

// A mask that keeps padding out gives the same digits however much of it there is.
TEST_F(Predict, AddsPaddingThatOnlyTheKeyMaskLeavesOut) {
  ASSERT_EQ(train({"--out", "q", "--epochs", "2", "--lr", "0.01", "--mask", "query"}).code, 0);
  const auto answers = [&](const char* name, const char* pad) {
    const auto result = run({"predict", name, "x=1,y=2:x+y", "--probabilities", "--pad", pad});
    EXPECT_EQ(result.err, "");
    return result.out;
  };
  const auto figures = [&](const char* name, const char* pad) {
    const auto result = run({"eval", name, "--pad", pad, "--json", std::string(name) + pad});
    EXPECT_EQ(result.code, 0) << result.err;
    return read(std::string(name) + pad);
  };
  for (const char* pad : {"1", "44", "200"}) {
    EXPECT_EQ(answers("r", pad), answers("r", "0"));
    EXPECT_EQ(figures("r", pad), figures("r", "0")) << "to the last digit";
  }
  EXPECT_NE(answers("q", "200"), answers("q", "0"));
  EXPECT_NE(figures("q", "200"), figures("q", "0"));
}

TEST_F(Predict, RefusesPaddingThatIsNoneOrThatNoModelReads) {
  expect_error(run({"eval", "r", "--pad", "-1"}), 2, "pad: must be from 0 to 100000, not -1");
  ASSERT_EQ(run({"train", "arithmetic", "--out", "a", "--steps", "1", "--progress", "off"}).code,
            0);
  expect_error(run({"predict", "a", "--pad", "3", "x=1,y=2:x+y"}), 2,
               "--pad: the recipe arithmetic does not read samples of one length");
}

TEST_F(Predict, RefusesWhatIsNoProblem) {
  expect_error(run({"predict", "r", "x=1,y=2"}), 1,
               "'x=1,y=2' is not a problem of the form x=-12,y=24:y-x: both numbers once");
  ASSERT_EQ(run({"train", "blog", "--out", "own", "--steps", "1", "--progress", "off"}).code, 0);
  expect_error(
      run({"predict", "own", "x=100,y=2:x+y"}), 1,
      "x is 100: the model was trained on numbers from -99 to 99 (train one with --max-val "
      "101)");
  EXPECT_EQ(run({"predict", "own", "x=99,y=-99:x+y"}).code, 0);
}

TEST_F(Predict, RepeatsNoMoreThanTheBeginningOfALongLine) {
  const std::string line(100'000, 'x');
  const auto result = run({"predict", "r"}, {.input = line + "\n" + line + "\n"});
  EXPECT_EQ(result.code, 1);
  EXPECT_LT(result.out.size(), 300U);
  EXPECT_LT(result.err.size(), 300U);
}

TEST_F(Predict, StopsWhereNobodyReadsItsErrors) {
  const auto result = run({"predict", "r", "what?", "what?"}, {.out = "/dev/full"});
  expect_error(result, 1, "stdout: cannot write the results: No space left on device");
}

TEST_F(Predict, RefusesTextsThatTheModelCannotTake) {
  expect_error(run({"predict", "r", "x=ä"}), 1, "'ä' in 'x=ä' is not one of the characters");
  expect_error(run({"predict", "r", "x=\xff"}), 1, "'\\xff' in 'x=\\xff' is not one of");
  expect_error(run({"predict", "r", "x=1,y=2:x+y+y+y+y+y+y"}), 1,
               "\"x=1,y=2:x+y+y+y+y+y+y\" has 21 characters, at most 20 fit");
  const auto line = run({"predict", "r"}, {.input = std::string("x\0y\n", 4)});
  EXPECT_THAT(line.out, StartsWith("error: arithmetic: '\\x00' in 'x\\x00y' is not one of"));
  expect_error({line.code, "", line.err}, 1, "no answer to 1 of 1 line; line 1: arithmetic: ");
}

TEST_F(Predict, PromptsOnATerminalAndGoesOnAfterAMistake) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  auto prompt = start({"predict", "r"}, {.environment = {"TERM=dumb"}, .terminal_columns = 80});
  prompt.type("what?\nx=1,y=2:x+y\n\x04");
  const auto result = prompt.wait();
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("One question a line"));
  EXPECT_THAT(result.out, HasSubstr("arithmetic: 'w' in 'what?' is not one of the characters"));
  const std::string answer = run({"predict", "r", "x=1,y=2:x+y"}).out;
  EXPECT_THAT(result.out, HasSubstr("> " + answer.substr(0, 1) + "\r\n"));
}

TEST_F(Predict, ShowsAnExampleAtThePromptAndBreaksMessagesBetweenWords) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  auto prompt = start({"predict", "r"}, {.environment = {"TERM=dumb"}, .terminal_columns = 40});
  ASSERT_TRUE(prompt.shows("> "));
  prompt.type("what?\n");  // its echo ends the line of the prompt
  ASSERT_TRUE(prompt.shows("0123456789"));
  prompt.type("\x04");
  const auto result = prompt.wait();
  EXPECT_THAT(result.out, HasSubstr("One question a line, such as\r\nx=-12,y=24:y-x; "));
  std::istringstream lines(result.out);
  std::string message;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 41U) << line;
    message += line.substr(0, line.find('\r')) + " ";
  }
  EXPECT_THAT(message, HasSubstr("such as x=-12,y=24:y-x; quit, exit or Ctrl-D ends. "));
  EXPECT_THAT(message, HasSubstr("'w' in 'what?' is not one of the characters "));
}

TEST_F(Predict, TakesABlankForNothingInAQuestionOfArithmetic) {
  const std::string question = "x=-12,y=24:y-x",
                    answer = run({"predict", "r", question, "--probabilities"}).out;
  for (const char* typed : {"x=-12, y=24: y-x", " x = - 12 ,\ty=24 :y - x  "}) {
    const auto result = run({"predict", "r", typed, "--probabilities"});
    EXPECT_EQ(result.out, answer) << result.err;
  }
  const auto explained = [&](const std::string& typed) {
    const std::string text = run({"explain", "r", typed}).out;
    return text.substr(text.find('\n'));  // behind the question as it was typed
  };
  EXPECT_EQ(explained("x=-12, y=24: y-x"), explained(question));
  EXPECT_EQ(run({"predict", "r", "x=1 2,y=24:y-x"}).code, 1) << "which number is it?";
}

TEST_F(Predict, LeavesThePromptAtQuit) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  for (const char* terminal : {"TERM=dumb", "TERM=xterm"}) {
    for (const char* word : {"quit\n", "exit\n"}) {
      auto prompt = start({"predict", "r"}, {.environment = {terminal}, .terminal_columns = 80});
      prompt.type(word);
      const auto result = prompt.wait();
      EXPECT_EQ(result.code, 0);
      EXPECT_THAT(result.out, HasSubstr("quit, exit or Ctrl-D ends"));
      EXPECT_THAT(result.out, ::testing::Not(HasSubstr("arithmetic: ")));
    }
  }
}

TEST_F(Predict, EditsLinesAndRemembersThemAtThePrompt) {
#ifndef MASKGRAD_EDITS_LINES
  GTEST_SKIP() << "built without libedit";
#endif
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  auto prompt = start({"predict", "r"}, {.environment = {"TERM=xterm"}, .terminal_columns = 80});
  ASSERT_TRUE(prompt.shows("> ") && prompt.takes_keys());
  prompt.type("=1,y=2:x+z\x01x\n");  // Ctrl-A: to the beginning of the line
  ASSERT_TRUE(prompt.shows("'z' in 'x=1,y=2:x+z' is not one of the characters"));
  ASSERT_TRUE(prompt.shows("\n> ") && prompt.takes_keys());
  prompt.type("\x1b[A\x7fy\n");  // the line before, with another end
  const std::string answer = run({"predict", "r", "x=1,y=2:x+y"}).out;
  ASSERT_TRUE(prompt.shows("\n" + answer.substr(0, 1) + "\r\n"));
  ASSERT_TRUE(prompt.shows("> ") && prompt.takes_keys());
  prompt.type("\x04");
  EXPECT_EQ(prompt.wait().code, 0);
}

// An answer stands in a line of its own, whatever is wrong with the lines before.
TEST_F(Predict, GoesOnBehindALineThatIsTooLong) {
  const std::string answer = run({"predict", "r", "x=1,y=2:x+y"}).out;
  for (const char* behind : {"", "x=1,y=2:x+y\n"}) {
    const auto result = run(
        {"predict", "r"}, {.input = "x=1,y=2:x+y\n" + std::string(3'000'000, 'x') + "\n" + behind});
    const std::string rest = *behind ? answer : "";
    EXPECT_EQ(result.out, answer + "error: stdin: the line has more than 1048576 bytes\n" + rest);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("lines; line 2: stdin: the line has more than"));
  }
  const auto unended = run({"predict", "r"}, {.input = std::string(2'000'000, 'x')});
  EXPECT_EQ(unended.out, "error: stdin: the line has more than 1048576 bytes\n");
}

TEST_F(Predict, NeedsATrainedRun) {
  expect_error(run({"predict", "none", "x"}), 1, "'none' is no run folder: it has no config.toml");
  std::filesystem::remove(path("r/model.safetensors"));
  for (const char* command : {"predict", "eval", "report"}) {
    expect_error(run({command, "r"}), 1,
                 "'r' has no model.safetensors: its training has not ended");
  }
  write("r/config.toml", "recipe = 'blgo'\n");
  expect_error(run({"predict", "r", "x"}), 1, "no recipe 'blgo'; did you mean 'blog'?");
}

// What eval printed first.
double loss_of(const std::string& out) { return std::stod(out.substr(std::string("loss").size())); }

TEST_F(Predict, EvalSumsOverTheWholeDataSetWhateverTheBatch) {
  const auto own = run({"eval", "r"});
  EXPECT_EQ(own.code, 0);
  EXPECT_THAT(own.out, StartsWith("loss       "));
  EXPECT_THAT(own.out, HasSubstr("\nsamples    80\n"));
  EXPECT_EQ(run({"eval", "r", "--data", "d"}).out, own.out);
  const std::string sevens = run({"eval", "r", "--batch-size", "7"}).out;
  // How many losses are added in float32 decides its last digits, but not those of float64.
  EXPECT_NEAR(loss_of(sevens), loss_of(own.out), 2e-6);
  EXPECT_EQ(sevens.substr(sevens.find('\n')), own.out.substr(own.out.find('\n')));
  ASSERT_EQ(train({"--out", "f64", "--epochs", "2", "--lr", "0.01", "--dtype", "float64"}).code, 0);
  for (const char* size : {"1", "7", "80"}) {
    EXPECT_EQ(run({"eval", "f64", "--batch-size", size}).out, run({"eval", "f64"}).out) << size;
  }
  ASSERT_EQ(run({"data", "arithmetic", "--out", "h", "--shards", "3", "--samples", "20"}).code, 0);
  EXPECT_THAT(run({"eval", "r", "--data", "h"}).out, HasSubstr("\nsamples    60\n"));
}

TEST_F(Predict, EvalGivesTheLossOfTheFirstStepForUntrainedWeights) {
  ASSERT_EQ(train({"--out", "s", "--steps", "1", "--lr", "0", "--batch-size", "80", "--step-log",
                   "s.csv"})
                .code,
            0);
  const double logged = std::stod(read("s.csv").substr(read("s.csv").find("\n0,") + 3));
  const double loss = loss_of(run({"eval", "s"}).out);
  EXPECT_NEAR(loss, logged, 1e-6);
}

TEST_F(Predict, EvalNamesDataThatIsGone) {
  std::filesystem::remove_all(path("d"));
  expect_error(run({"eval", "r"}), 1,
               "there is no file or folder '" + path("d").string() +
                   "': the path stands in 'r/config.toml', and --data "
                   "overrides it");
  expect_error(run({"eval", "r", "--data", "d"}), 1, "cannot read folder 'd'");
}

}  // namespace
}  // namespace maskgrad
