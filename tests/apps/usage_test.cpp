// What the program says to whoever calls it wrongly, or asks it for help.
#include <regex>

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
      if (example[0] == "train") example.insert(example.end(), {"--steps", "3", "--force"});
      const test::CliResult result = run(example);
      EXPECT_EQ(result.code, 0) << example[0] << ": " << result.err;
    }
  }
}

TEST_F(Usage, TellsTheVersion) {
  const test::CliResult result = run({"--version"});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(std::regex_match(result.out, std::regex("maskgrad [0-9]+\\.[0-9]+\\.[0-9]+\n")));
}

TEST_F(Usage, AsksForWhatIsMissing) {
  expect_error(run({}), 2, "which subcommand? data, train, eval, predict");
  expect_error(run({"train"}), 2, "which recipe? arithmetic, blog, text");
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
  expect_error(run({"train", "--lr", "3", "blog"}), 2,
               "'--lr' belongs behind the recipe 'arithmetic'");
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
