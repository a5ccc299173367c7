// The recipe text, and maskgrad generate: trained a little on small files, and asked to go on.
#include <fmt/format.h>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// A folder `t` of three documents, and a model that is too small to learn much.
class Text : public test::CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    fs::create_directories(path("t/sub"));
    write("t/a", repeated("one two three\n", 40));
    write("t/b", repeated("four five\n", 5));
    write("t/sub/c", repeated("six seven eight nine\n", 30));
  }

  test::CliResult train_text(const std::vector<std::string>& more, const std::string& data = "t") {
    std::vector<std::string> args = {"train",      "text", "--data",    data, "--out",   "r",
                                     "--features", "8",    "--layers",  "1",  "--heads", "2",
                                     "--context",  "16",   "--minutes", "0",  "--steps", "3"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
};

TEST_F(Text, TrainsOnTheFilesOfAFolderAndHoldsDocumentsOut) {
  write("t/.hidden", "x");
  write("t/binary", std::string("a\0b", 3));
  const auto result = train_text({});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("data: 3 documents of 1,240 bytes\n"
                                    "data: skipped: 1 hidden, 1 with NUL bytes\n"
                                    "data: held out: 1 document of 50 bytes (4.0 %)\n"
                                    "data: an epoch reads the 76 pieces of text 11 times, to last "
                                    "50 steps\n"));
  EXPECT_THAT(result.err, HasSubstr("836 samples, 3 steps of 16")) << "36 of a, 40 of c";
  EXPECT_THAT(
      result.out,
      ContainsRegex("\nbits_per_byte [0-9][^\n]+\ngrad_norm     [^\n]+\nvalidation    loss [^\n]+\n"
                    "steps         3 in "));
  EXPECT_THAT(result.out, HasSubstr("validation loss"));
  EXPECT_FALSE(exists("r/data"));
}

TEST_F(Text, SaysHowManyStepsAnEpochOfLargeBatchesLasts) {
  const auto result = train_text({"--batch-size", "20000", "--steps", "1"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("76 pieces of text 6579 times, to last 26 steps\n"))
      << "25 of 20,000 pieces and one of 4";
}

TEST_F(Text, TrainsOnOneFileAndHoldsItsEndOut) {
  const auto result = train_text({}, "t/a");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("data: 1 document of 560 bytes\n"));
  EXPECT_THAT(result.err, HasSubstr("held out: the last 55 bytes (9.8 %) of \"t/a\""));
  const auto again = run({"train", "text", "--out", "r", "--resume", "--steps", "5"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(run({"eval", "r"}).code, 0);
}

TEST_F(Text, GoesOnInTheMiddleOfAnEpochAsAnUnbrokenRunDoes) {
  const auto train_for = [&](const char* steps, const char* log) {
    return train_text({"--force", "--schedule", "constant", "--steps", steps, "--step-log", log});
  };
  ASSERT_EQ(train_for("120", "whole.csv").code, 0);
  ASSERT_EQ(train_for("70", "part.csv").code, 0) << "an epoch has 53 steps";
  const auto rest =
      run({"train", "text", "--out", "r", "--resume", "--steps", "120", "--step-log", "rest.csv"});
  ASSERT_EQ(rest.code, 0) << rest.err;
  const std::string whole = read("whole.csv"), last = read("rest.csv");
  EXPECT_EQ(last.substr(last.find("\n70,")), whole.substr(whole.find("\n70,")));
}

TEST_F(Text, EvaluatesOnWhatWasHeldOutOrOnAFileThatIsNamed) {
  ASSERT_EQ(train_text({}).code, 0);
  const auto held_out = run({"eval", "r"});
  EXPECT_EQ(held_out.code, 0) << held_out.err;
  EXPECT_THAT(held_out.out, ContainsRegex("samples +4, held out")) << "51 tokens, 16 each";
  const auto named = run({"eval", "r", "--data", "t/a"});
  EXPECT_EQ(named.code, 0) << named.err;
  EXPECT_THAT(named.out, ContainsRegex("samples       36\n")) << "as far as bits_per_byte asks";
  expect_error(run({"eval", "r", "--samples", "3"}), 2,
               "--samples limits the table of answers, and the recipe text has none");
}

TEST_F(Text, MeasuresTheLossInNatsAndInBits) {
  ASSERT_EQ(train_text({"--lr", "0"}, "t/a").code, 0);
  const auto number = [](const std::string& out, const std::string& name) {
    return std::stod(out.substr(out.find(name) + name.size()));
  };
  const std::string out = run({"eval", "r", "--data", "t/a"}).out;
  const double nats = number(out, "loss"), bits = number(out, "bits_per_byte");
  EXPECT_NEAR(bits, nats * 561 / 560 / 0.6931471805599453, 2e-5) << "the end costs bits, too";
  EXPECT_NEAR(bits, std::log2(257), 0.3) << "of a model that knows nothing";
}

TEST_F(Text, ValidatesOnNoMoreSamplesThanItIsTold) {
  ASSERT_EQ(train_text({"--val-share", "0.5", "--val-samples", "3"}).code, 0);
  EXPECT_THAT(run({"eval", "r"}).out, ContainsRegex("samples +3, held out"));
  ASSERT_EQ(train_text({"--val-share", "0.5", "--val-samples", "0", "--force"}).code, 0);
  EXPECT_THAT(run({"eval", "r"}).out, Not(ContainsRegex("samples +3, held out")));
}

TEST_F(Text, IsCheckedAndProvedCausal) {
  ASSERT_EQ(train_text({}).code, 0);
  const auto result = run({"check", "r", "--samples", "3"});
  EXPECT_EQ(result.code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("causality"));
}

TEST_F(Text, RefusesDataThatAreNoTextAndSettingsThatDoNotFit) {
  expect_error(run({"train", "text", "--out", "r"}), 2,
               "text: --data must name a file or a folder of text");
  expect_error(train_text({}, "none"), 1, "cannot open 'none': No such file or directory");
  fs::create_directory(path("empty"));
  expect_error(train_text({}, "empty"), 1, "text: 'empty' holds no text");
  expect_error(train_text({}, "/dev/zero"), 1, "'/dev/zero': it is no regular file");
  write("nul", std::string(5, '\0'));
  expect_error(train_text({}, "nul"), 1, "'nul' is no text: it holds a NUL byte");
  expect_error(train_text({"--heads", "3"}), 2, "equal and even parts, and 3 does not cut 8");
  expect_error(train_text({"--heads", "8"}), 2, "equal and even parts, and 8 does not cut 8");
  expect_error(train_text({"--val-share", "0"}), 2, "val_share");
  expect_error(train_text({"--out", "t/r"}), 2,
               "the run folder 't/r' stands within --data 't', and its own files would be read");
  expect_error(train_text({}, "."), 2, "the run folder 'r' stands within --data '.'");
  EXPECT_FALSE(exists("r/config.toml"));
}

TEST_F(Text, RefusesToReadWhatItWritesItself) {
  fs::create_directory(path("v"));
  write("v/a", "some text");
  expect_error(train_text({"--val", "v", "--out", "v/r"}), 2,
               "the run folder 'v/r' stands within --val 'v', and its own files would be read");
  expect_error(train_text({"--val", "."}), 2, "the run folder 'r' stands within --val '.'");
  expect_error(train_text({"--step-log", "t/sub/log.csv"}), 2,
               "--step-log 't/sub/log.csv' stands within --data 't', and would be read as text");
  expect_error(train_text({"--val", "v", "--step-log", "v/a"}), 2, "stands within --val 'v'");
  fs::create_directory_symlink(path("t"), path("link"));
  expect_error(train_text({"--out", "link/r"}), 2, "the run folder 'link/r' stands within --data");
  EXPECT_FALSE(exists("t/r"));
  EXPECT_EQ(read("v/a"), "some text");
}

TEST_F(Text, RefusesTextsTooShortToHoldAnythingOut) {
  write("one", "x");
  expect_error(
      train_text({}, "one"), 1,
      "text: 'one' is too short to train on a part of it and to hold out the rest: it must "
      "have 2 bytes at least");
  write("two", "xy");
  const auto two = train_text({}, "two");
  EXPECT_EQ(two.code, 0) << two.err;
  EXPECT_THAT(two.err, HasSubstr("held out: the last 1 byte (50 %)"));
  const auto held_out = run({"eval", "r"});
  EXPECT_THAT(held_out.out, ContainsRegex("bits_per_byte +[1-9]"));
  const auto named = run({"eval", "r", "--data", "one"});
  EXPECT_EQ(named.code, 0) << named.err;
}

TEST_F(Text, HasEpochsOfFiftyStepsHoweverSmallItsDataAre) {
  write("small", "a few bytes");
  ASSERT_EQ(train_text({"--steps", "149"}, "small").code, 0);
  EXPECT_EQ(std::ranges::count(read("r/epochs.csv"), '\n'), 3) << "a heading and two epochs";
}

TEST_F(Text, SaysWhatIsValidatedOnOtherData) {
  const auto result = train_text({"--val", "t/b"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("data: validated on all of \"t/b\"; what is held out is left "
                                    "for maskgrad eval\n"));
}

TEST_F(Text, NamesTheKeyOfAConfigThatItCannotUse) {
  ASSERT_EQ(train_text({}).code, 0);
  const std::string config = read("r/config.toml");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = config;
    changed.replace(changed.find(from), from.size(), to);
    write("r/config.toml", changed);
  };
  const std::string data = config.substr(
      config.find("data = "), config.find(" #", config.find("data = ")) - config.find("data = "));
  with(data, "data = ''");
  for (const char* command : {"eval", "check"}) {
    expect_error(run({command, "r"}), 1,
                 "'r/config.toml' has data = \"\", and the recipe text makes no data of its own");
  }
  EXPECT_EQ(run({"eval", "r", "--data", "t"}).code, 0);
  for (const char* other : {"arithmetic", "blog", "tex"}) {
    with("recipe = 'text'", fmt::format("recipe = '{}'", other));
    const std::string why = fmt::format(
        "'r/config.toml' has recipe = '{}' and the settings of the "
        "recipe text: write there recipe = 'text'",
        other);
    expect_error(run({"predict", "r", "x"}), 1, why);
    if (other == std::string("tex")) continue;
    expect_error(run({"train", other, "--out", "r", "--resume"}), 2, why);
  }
}

TEST_F(Text, SaysThatItsDataAreGone) {
  ASSERT_EQ(train_text({}).code, 0);
  fs::rename(path("t"), path("elsewhere"));
  expect_error(run({"eval", "r"}), 1, "there is no file or folder '" + path("t").string());
  const auto found = run({"eval", "r", "--data", "elsewhere"});
  EXPECT_EQ(found.code, 0) << found.err;
}

TEST_F(Text, PredictsTheBytesThatMayComeNext) {
  ASSERT_EQ(train_text({}).code, 0);
  const auto result =
      run({"predict", "r", "--probabilities", "one two", "a line far longer than 16"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, ContainsRegex("^[^\n]+  0\\.[0-9]{4}, [^\n]+\n[^\n]+\n$"));
  EXPECT_EQ(result.err,
            "maskgrad: predict: the recipe text tells the next byte; maskgrad generate "
            "writes texts\n");
}

class Generate : public Text {
 protected:
  void SetUp() override {
    Text::SetUp();
    ASSERT_EQ(train_text({"--steps", "60", "--lr", "0.02", "--no-shuffle"}, "t/a").code, 0);
  }
  std::string text(std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "r"});
    const auto result = run(more);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
  }
};

TEST_F(Generate, GoesOnWithThePromptForAsManyBytesAsAreAskedFor) {
  const std::string out = text({"one ", "--tokens", "60", "--temperature", "0"});
  EXPECT_THAT(out, StartsWith("one "));
  EXPECT_GE(out.size(), 64u) << "far more than the context of 16";
  EXPECT_LE(out.size(), 65u) << "and the end of the line";
  EXPECT_EQ(out.back(), '\n');
  EXPECT_EQ(text({"hello", "--tokens", "0"}), "hello\n");
  EXPECT_EQ(text({"hello\n", "--tokens", "0"}), "hello\n");
}

TEST_F(Generate, WritesTheSameForTheSameSeedAndOtherTextsForOthers) {
  const std::vector<std::string> args = {"one ", "--tokens", "50", "--temperature", "2"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), args.begin(), args.end());
    return text(more);
  };
  const std::string first = with({});
  EXPECT_EQ(with({}), first);
  EXPECT_EQ(with({"--seed", "0"}), first);
  EXPECT_NE(with({"--seed", "1"}), first);
  EXPECT_NE(with({"--temperature", "1"}), first);
  EXPECT_EQ(with({"--top-k", "1"}), with({"--temperature", "0"}));
  EXPECT_EQ(with({"--top-p", "0.000001"}), with({"--temperature", "0"}));
  EXPECT_EQ(with({"--min-p", "1"}), with({"--temperature", "0"}));
  EXPECT_EQ(with({"--best"}).substr(0, 4), "one ");
}

TEST_F(Generate, WritesSeveralSamplesAsIfEachWereAlone) {
  const std::string one = text({"o", "--tokens", "30", "--temperature", "2"});
  const std::string three = text({"o", "--tokens", "30", "--temperature", "2", "--samples", "3"});
  EXPECT_THAT(three, StartsWith("--- sample 1 of 3\n" + one + "--- sample 2 of 3\n"));
  EXPECT_THAT(three, HasSubstr("--- sample 3 of 3\no"));
  EXPECT_THAT(three.substr(three.find("2 of 3\n") + 7), Not(StartsWith(one)));
}

TEST_F(Generate, TakesPromptsOfAnyBytesAndLength) {
  EXPECT_THAT(text({"\xff\x1b[31m\xc3", "--tokens", "1"}), StartsWith("\xff\x1b[31m\xc3"));
  const std::string longer(1000, 'x');
  EXPECT_THAT(text({longer, "--tokens", "20"}), StartsWith(longer));
  EXPECT_NE(text({"--tokens", "5", "--temperature", "0"}), "") << "the beginning of a text";
  EXPECT_THAT(text({"--tokens", "1", "--", "--x"}), StartsWith("--x"));
}

TEST_F(Generate, ShowsControlCharactersAndWholeCharactersAtATerminal) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  const auto shown = [&](const std::string& prompt) {
    return run({"generate", "r", prompt, "--tokens", "0"}, {.terminal_columns = 80}).out;
  };
  EXPECT_EQ(shown("a\x1b[31mb\tc\xff"), "a\\x1b[31mb\tc\\xff\r\n");
  EXPECT_EQ(shown("größe\nx"), "größe\r\nx\r\n");
  EXPECT_EQ(shown("half: \xc3"), "half: \\xc3\r\n");
}

TEST_F(Generate, ShowsNoHalvesOfCharactersThatComeByteByByte) {
  write("umlauts", repeated("äöü", 200));
  ASSERT_EQ(train_text({"--steps", "80", "--lr", "0.02", "--force"}, "umlauts").code, 0);
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  const auto result =
      run({"generate", "r", "ä", "--tokens", "21", "--temperature", "0"}, {.terminal_columns = 80});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, StartsWith("ä"));
  EXPECT_THAT(result.out, HasSubstr("öü")) << "21 bytes are ten characters and a half";
}

TEST_F(Generate, RefusesNumbersOutOfRangeAndRunsThatWriteNoText) {
  const auto refused = [&](const std::string& flag, const std::string& value,
                           const std::string& why) {
    expect_error(run({"generate", "r", flag, value}), 2, why);
  };
  refused("--tokens", "-1", "--tokens must be at least 0, not -1");
  refused("--samples", "0", "--samples must be 1 to 4294967295, not 0");
  refused("--temperature", "-0.5", "--temperature must be finite and at least 0, not -0.5");
  refused("--temperature", "nan", "temperature");
  refused("--temperature", "warm", "--temperature must be a number, not 'warm'");
  refused("--top-k", "-1", "--top-k must be at least 0, not -1");
  refused("--top-p", "0", "--top-p must be above 0 and at most 1, not 0");
  refused("--min-p", "2", "--min-p must be from 0 to 1, not 2");
  refused("--seed", "-1", "--seed must be a whole number from 0 up, not '-1'");
  ASSERT_EQ(train({"--out", "b", "--steps", "1"}).code, 0);
  expect_error(run({"generate", "b", "x"}), 1,
               "generate: the model answers questions and writes no texts");
  expect_error(run({"generate", "none"}), 1, "'none' is no run folder");
}

TEST_F(Generate, SaysThatItsReaderIsGone) {
  expect_error(run({"generate", "r", "x", "--tokens", "5"}, {.out = "/dev/full"}), 1,
               "stdout: cannot write the results: No space left on device");
}

}  // namespace
}  // namespace maskgrad
