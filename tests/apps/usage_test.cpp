// What the program says to whoever calls it wrongly, or asks it for help.
#include <regex>

#include <fmt/format.h>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Usage : public test::CliTest {};

const std::vector<std::vector<std::string>> kCommands = {{},
                                                         {"data"},
                                                         {"data", "arithmetic"},
                                                         {"train"},
                                                         {"train", "blog"},
                                                         {"eval"},
                                                         {"predict"},
                                                         {"inspect"},
                                                         {"ops"},
                                                         {"run-op"},
                                                         {"bench"},
                                                         {"report"},
                                                         {"train", "text"},
                                                         {"generate"},
                                                         {"explain"}};

TEST_F(Usage, EveryHelpEndsWithAnExample) {
  for (std::vector<std::string> command : kCommands) {
    command.push_back("--help");
    const test::CliResult help = run(command);
    EXPECT_EQ(help.code, 0);
    EXPECT_EQ(help.err, "");
    const std::size_t example = help.out.rfind(": maskgrad ");
    ASSERT_NE(example, std::string::npos) << help.out;
    EXPECT_LE(
        std::count(help.out.begin() + static_cast<std::ptrdiff_t>(example), help.out.end(), '\n'),
        2)
        << help.out;
  }
}

// A person pastes what the program shows, in the folder where they called it.
TEST_F(Usage, CommandsThatItShowsCallTheProgramAsItWasCalled) {
  const auto as = [&](const std::string& called, const std::vector<std::string>& args) {
    const test::CliResult result = run(args, {.called = called});
    return result.out + result.err;
  };
  for (const auto& [called, word] :
       {std::pair<std::string, std::string>("build/maskgrad", "build/maskgrad"),
        {"../my own/maskgrad", "'../my own/maskgrad'"},
        {"maskgrad", "maskgrad"},
        {"", "maskgrad"}}) {
    EXPECT_THAT(as(called, {"inspect", "--help"}),
                HasSubstr("\nExample: " + word + " inspect runs/first\n         " + word +
                          " inspect runs\n"));
    EXPECT_THAT(as(called, {"--help"}), HasSubstr("\nStart with: " + word + " train blog --out"));
    EXPECT_THAT(as(called, {"train", "blog", "--none"}),
                HasSubstr("; see " + word + " train blog --help\n"));
    EXPECT_THAT(as(called, {"ops", "xyzzy"}), HasSubstr("see " + word + " ops"));
    EXPECT_THAT(as(called, {"ops", "relu", "--sample", "my x.safetensors"}),
                HasSubstr("try: " + word + " run-op relu --in 'my x.safetensors' --out FILE"));
    ASSERT_EQ(train({"--out", "r", "--steps", "3", "--force"}, {.called = called}).code, 0);
    std::filesystem::remove(path("r/model.safetensors"));
    EXPECT_THAT(as(called, {"predict", "r", "x=1,y=2:x+y"}),
                HasSubstr("; go on with: " + word + " train blog --out r --resume\n"));
  }
}

// Lines of what a terminal shows, each with its length in characters.
std::vector<std::pair<std::string, std::size_t>> lines_of(const std::string& shown) {
  std::vector<std::pair<std::string, std::size_t>> lines;
  std::istringstream text(shown);
  for (std::string line; std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const auto length = std::ranges::count_if(line, [](char c) { return (c & 0xc0) != 0x80; });
    lines.emplace_back(line, static_cast<std::size_t>(length));
  }
  return lines;
}

std::string without_spaces(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  return text;
}

// But for lines that show a command, which can be copied only as a whole.
TEST_F(Usage, EveryHelpFitsTheTerminal) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  for (std::vector<std::string> command : kCommands) {
    command.push_back("--help");
    const std::string piped = run(command).out;
    for (const std::size_t columns : {60U, 80U, 120U}) {
      const auto shown = run(command, {.terminal_columns = static_cast<int>(columns)});
      EXPECT_EQ(shown.code, 0);
      EXPECT_EQ(without_spaces(shown.out), without_spaces(piped)) << "the same words";
      for (const auto& [line, length] : lines_of(shown.out)) {
        const bool shows_command = line.find("maskgrad ") != std::string::npos;
        EXPECT_TRUE(shows_command || length <= columns) << line;
      }
    }
  }
}

TEST_F(Usage, ALineOfHelpGoesOnBelowItsDescription) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  const auto shown = run({"generate", "--help"}, {.terminal_columns = 80});
  EXPECT_THAT(shown.out, ::testing::ContainsRegex(
                             "\n  --temperature NUMBER=0\\.8    Below 1, [^\n]+\r\n {30}[^ ]"));
}

// The commands that a help's examples show, split at spaces.
std::vector<std::vector<std::string>> examples(const std::string& help) {
  std::vector<std::vector<std::string>> found;
  const std::regex expression("(?:^Example: |^Start with: |^ {9})maskgrad (.*)",
                              std::regex::multiline);
  for (std::sregex_iterator match(help.begin(), help.end(), expression), end; match != end;
       ++match) {
    std::istringstream words((*match)[1]);
    found.emplace_back(std::istream_iterator<std::string>(words),
                       std::istream_iterator<std::string>());
  }
  return found;
}

TEST_F(Usage, EveryExampleWorksInTheOrderOfTheHelps) {
  std::filesystem::create_directory(path("docs"));
  write("docs/text", "Some text to learn from, and some to hold out.\n");
  for (std::vector<std::string> command : kCommands) {
    command.push_back("--help");
    for (std::vector<std::string> example : examples(run(command).out)) {
      if (example[0] == "bench") continue;  // takes its time
      if (example[0] == "data") example.push_back("--force");
      if (example[0] == "train") example.insert(example.end(), {"--steps", "3", "--force"});
      const test::CliResult result = run(example);
      EXPECT_EQ(result.code, 0) << example[0] << ": " << result.err;
    }
  }
}

TEST_F(Usage, TellsTheVersion) {
  const test::CliResult result = run({"--version"});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(std::regex_match(
      result.out, std::regex("maskgrad [0-9]+\\.[0-9]+\\.[0-9]+, computes with .+\n")));
}

TEST_F(Usage, AsksForWhatIsMissing) {
  expect_error(run({}), 2, "which subcommand? data, train, eval, predict");
  expect_error(run({"train"}), 2,
               "which recipe? arithmetic, blog, distractors, gates, tasks, text");
  expect_error(run({"data"}), 2, "which data set? arithmetic; see maskgrad data --help");
  expect_error(run({"eval"}), 2, "RUN is required; see maskgrad eval --help");
  expect_error(run({"data", "arithmetic"}), 2, "--out is required");
  expect_error(run({"train", "blog", "--lr"}), 2, "--lr needs a value; see maskgrad train blog --");
}

TEST_F(Usage, SuggestsTheNearestName) {
  expect_error(run({"tran", "blog"}), 2, "no subcommand 'tran'; did you mean 'train'?");
  expect_error(run({"train", "blgo"}), 2, "no recipe 'blgo'; did you mean 'blog'?");
  expect_error(run({"data", "blog", "--out", "h"}), 2, "there is no data set 'blog'");
  expect_error(run({"train", "blog", "--warmup", "9"}), 2, "did you mean '--warmup-steps'?");
  expect_error(run({"train", "blog", "--bathc-size", "3"}), 2,
               "no option '--bathc-size'; did you mean '--batch-size'?");
  expect_error(run({"train", "blog", "--bathc-size=3"}), 2, "did you mean '--batch-size'?");
  expect_error(run({"train", "blog", "--heads", "2"}), 2,
               "no option '--heads'; see maskgrad train");
  expect_error(run({"check", "--math", "tf32"}), 2, "no option '--math'; see maskgrad check");
  expect_error(run({"ops", "masked_sofmax"}), 2, "did you mean 'masked_softmax'?");
  expect_error(run({"run-op", "rel", "--in", "x", "--out", "y"}), 2, "did you mean 'relu'?");
  expect_error(run({"bench", "blog-stp"}), 2, "did you mean 'blog-step'?");
  expect_error(run({"train", "blog", "--set", "lrr=1"}), 2, "did you mean 'lr'?");
}

TEST_F(Usage, SaysWhereToLookForANameThatIsNearNone) {
  expect_error(run({"ops", "convolution"}), 2, "no operation 'convolution'; see maskgrad ops");
  expect_error(run({"bench", "everything"}), 2, "'everything'; see maskgrad bench --help");
}

TEST_F(Usage, SaysWhereAnOptionOrArgumentIsOutOfPlace) {
  expect_error(run({"train", "--lr", "3", "blog"}), 2, "'--lr' belongs behind the recipe 'blog'");
  expect_error(run({"--lr", "3", "train", "blog"}), 2, "'--lr' belongs behind the recipe 'blog'");
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"train", "--lr", "3"}, {"--lr", "3", "train"}}) {
    expect_error(run(args), 2, "'--lr' belongs behind the name of a recipe");
  }
  expect_error(run({"--math", "tf32", "check", "r"}), 2, "there is no option '--math'");
  expect_error(run({"train", "--gate", "glu", "blog"}), 2, "there is no option '--gate'");
  expect_error(run({"train", "--gate", "glu"}), 2, "'--gate' belongs behind the recipe 'gates'");
  expect_error(run({"train", "blog", "again"}), 2, "unexpected argument 'again'");
  expect_error(run({"--nosuch"}), 2, "there is no option '--nosuch'; see maskgrad --help");
}

TEST_F(Usage, RefusesNumbersThatAreNone) {
  const auto data = [&](const char* flag, const char* value) {
    return run({"data", "arithmetic", "--out", "x", flag, value});
  };
  expect_error(data("--shards", "abc"), 2, "--shards must be a whole number, not 'abc'");
  expect_error(data("--shards", "0"), 2, "shards must be 1 to 10000, not 0");
  expect_error(data("--seed", "-1"), 2, "--seed must be a whole number from 0 up, not '-1'");
  expect_error(data("--samples", "99999999999999999999"), 2, "--samples must be a whole number");
  expect_error(run({"eval", "x", "--batch-size", "0"}), 2, "--batch-size must be at least 1");
  expect_error(run({"bench", "--threads", "0"}), 2, "must be 1 to 1024, not 0");
  EXPECT_FALSE(exists("x"));
}

TEST_F(Usage, SaysThatTheBuildHasNoCudaWhereverSomethingIsComputed) {
  ASSERT_EQ(train({"--out", "r", "--steps", "1"}).code, 0);
  ASSERT_EQ(run({"ops", "relu", "--sample", "x.safetensors"}).code, 0);
  write("cuda.toml", "device = 'cuda'\n");
  const std::vector<std::vector<std::string>> commands = {
      {"train", "blog", "--data", "d", "--steps", "1", "--force", "--progress", "off"},
      {"eval", "r"},
      {"predict", "r", "x=1,y=2:x+y"},
      {"explain", "r", "x=1,y=2:x+y"},
      {"generate", "r"},
      {"check", "r", "--elements", "1"},
      {"bench", "op-overhead"},
      {"run-op", "relu", "--in", "x.safetensors", "--out", "y.safetensors"}};
  const std::string no_cuda = "device: this build has no CUDA; configure with -DMASKGRAD_CUDA=ON";
  for (const std::vector<std::string>& command : commands) {
    const auto on = [&](const std::string& device) {
      std::vector<std::string> args = command;
      args.insert(args.end(), {"--device", device});
      return run(args);
    };
    const auto cuda = on("cuda");
    EXPECT_EQ(cuda.code, 2) << command[0];
    EXPECT_EQ(cuda.err, fmt::format("maskgrad: {}{}\n", no_cuda,
                                    command[0] == "train" ? "; or give --device cpu" : ""))
        << command[0];
    for (const auto& [wrong, shown] :
         {std::pair("gpu", "gpu"), {"", ""}, {"a\x01\x9b\n", "a\\x01\\x9b\\n"}}) {
      const auto refused = on(wrong);
      EXPECT_EQ(refused.code, 2) << command[0];
      EXPECT_EQ(refused.err,
                fmt::format("maskgrad: device: --device must be one of cpu, auto, cuda, not '{}'\n",
                            shown))
          << command[0];
    }
    if (command[0] == "bench" || command[0] == "generate") continue;  // slow, and of another recipe
    for (const char* device : {"cpu", "auto"}) EXPECT_EQ(on(device).code, 0) << command[0];
  }
  for (const char* flag : {"--set=device=cuda", "--config=cuda.toml"}) {
    expect_error(train({flag, "--out", "s"}), 2, no_cuda);
  }
  EXPECT_FALSE(exists("s"));
}

TEST_F(Usage, KeepsAnErrorOnOneLineWhateverItQuotes) {
  const test::CliResult result = run({"inspect", "a\nb\x1b[31m\xff\xc2\x9b"});
  expect_error(result, 1, "cannot open 'a\\nb\\x1b[31m\\xff\\xc2\\x9b'");
}

TEST_F(Usage, ReportsResultsThatCannotBeWritten) {
  for (const char* what : {"ops", "--help"}) {
    expect_error(run({what}, {.out = "/dev/full"}), 1,
                 "stdout: cannot write the results: No space left on device");
  }
  expect_error(run({"ops"}, {.close_out = true}), 1, "cannot write the results: Bad file");
}

TEST_F(Usage, WritesNoResultsIntoAFileWhenStandardOutputIsClosed) {
  const auto result =
      run({"data", "arithmetic", "--out", "closed", "--shards", "1"}, {.close_out = true});
  expect_error(result, 1, "cannot write the results");
  EXPECT_EQ(read("closed/shard_0000.tfrecords").find("samples in"), std::string::npos);
  EXPECT_EQ(run({"inspect", "closed/shard_0000.tfrecords"}).code, 0);
}

}  // namespace
}  // namespace maskgrad
