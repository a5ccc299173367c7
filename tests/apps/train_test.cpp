// maskgrad train: settings, run folders, what it shows.
#include <regex>
#include <sstream>

#include <fmt/format.h>

#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Train : public test::CliTest {
 protected:
  // The line of a run's config.toml for a key, without its comment.
  std::string setting(const std::string& run, const std::string& key) {
    std::smatch match;
    const std::string text = read(run + "/config.toml");
    return std::regex_search(text, match, std::regex("(?:^|\n)" + key + " = (\\S+)"))
               ? match[1].str()
               : "none";
  }
};

TEST_F(Train, TakesABatchSizeBeyondAllSamplesForOneBatch) {
  const auto result = train({"--out", "r", "--epochs", "2", "--batch-size", "9223372036854775807"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, ::testing::HasSubstr("steps      2 in "));
}

TEST_F(Train, SaysThatTheTimeOfAStepHoldsWhatIsDoneBetweenSteps) {
  const char* const text = "each in training, what is done between them included\n";
  EXPECT_THAT(train({"--out", "r", "--epochs", "1", "--checkpoint-every", "7"}).out,
              ::testing::HasSubstr(text));
  EXPECT_THAT(train({"--out", "s", "--epochs", "1", "--val-share", "0.1", "--val-every", "7"}).out,
              ::testing::HasSubstr(text));
  EXPECT_THAT(train({"--out", "t", "--epochs", "1", "--val-share", "0.1"}).out,
              ::testing::HasSubstr("each in training\n"));
}

TEST_F(Train, SaysWhyADeviceThatItChoseIsTheCpu) {
  const std::string why = why_no_cuda();
  if (why.empty()) GTEST_SKIP() << "there is a GPU";
  const auto said = [&](const std::string& device) {
    return run({"train", "blog", "--data", "d", "--steps", "1", "--force", "--progress", "lines",
                "--device", device})
        .err;
  };
  EXPECT_THAT(said("auto"), HasSubstr("\ndevice: cpu (" + why + ")\n"));
  // A build without CUDA has no other.
  EXPECT_EQ(said("cpu").find("device") == std::string::npos, cuda_memory == nullptr);
}

TEST_F(Train, LeavesAWholeRunFolder) {
  const auto result = train({"--out", "r", "--epochs", "2"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(std::regex_match(result.out,
                               std::regex("loss +[0-9.]+\naccuracy +[0-9.]+\n"
                                          "validation none: --val FOLDER or --val-share 0.1 "
                                          "tests on data it has not seen\n"
                                          "steps +80 in [0-9.]+ s, validation and files included; "
                                          "[0-9.]+ [um]s each in training\n"
                                          "run +r\nreport +r/report.html\n")))
      << result.out;
  // The time of a step is that of epochs.csv, whose seconds have three decimals. Its own last digit
  // is that of a tenth, of microseconds or of milliseconds.
  std::smatch each;
  ASSERT_TRUE(std::regex_search(result.out, each, std::regex("included; ([0-9.]+) ([um])s each")));
  double in_table = 0;
  std::istringstream table(read("r/epochs.csv"));
  for (std::string line; std::getline(table, line);) {
    if (!line.starts_with("epoch")) in_table += std::stod(line.substr(line.rfind(',') + 1));
  }
  const double unit = each[2] == "u" ? 1e-6 : 1e-3;
  EXPECT_NEAR(80 * std::stod(each[1]) * unit, in_table, 0.0015 + 80 * 0.05 * unit);
  for (const char* file :
       {"config.toml", "epochs.csv", "model.safetensors", "report.html",
        "checkpoints/step_000000000040.safetensors", "checkpoints/step_000000000080.safetensors"}) {
    EXPECT_TRUE(exists(std::string("r/") + file)) << file;
  }
  EXPECT_FALSE(std::filesystem::is_empty(path("r/logs")));
  EXPECT_FALSE(exists("r/data")) << "it was given its data";
}

TEST_F(Train, TakesBatchesOfAnySize) {
  const auto result = train({"--out", "r", "--epochs", "2", "--batch-size", "9223372036854775807"});
  EXPECT_THAT(result.out, HasSubstr("\nsteps      2 in ")) << result.err;
  EXPECT_EQ(train({"--out", "r", "--resume", "--epochs", "3"}).code, 0);
}

TEST_F(Train, RepeatsARunFromItsConfig) {
  ASSERT_EQ(train({"--out", "a", "--epochs", "2", "--lr", "0.003", "--shuffle", "--seed", "4",
                   "--step-log", "a.csv"})
                .code,
            0);
  ASSERT_EQ(
      run({"train", "blog", "--config", "a/config.toml", "--out", "b", "--step-log", "b.csv"}).code,
      0);
  EXPECT_EQ(read("a.csv"), read("b.csv"));
  EXPECT_EQ(read("a/model.safetensors"), read("b/model.safetensors"));
  EXPECT_EQ(read("a/config.toml"), read("b/config.toml"));
}

TEST_F(Train, MakesTheSameDataAgainFromItsConfig) {
  const std::vector<std::string> own = {"train", "blog", "--progress", "off", "--steps", "3"};
  auto first = own, second = own;
  first.insert(first.end(), {"--out", "a", "--seed", "7", "--shards", "1", "--max-val", "20"});
  second.insert(second.end(), {"--out", "b", "--config", "a/config.toml"});
  ASSERT_EQ(run(first).code, 0);
  ASSERT_EQ(run(second).code, 0);
  EXPECT_EQ(read("a/data/shard_0000.tfrecords"), read("b/data/shard_0000.tfrecords"));
  EXPECT_EQ(read("a/model.safetensors"), read("b/model.safetensors"));
}

TEST_F(Train, CountsAFlagMoreThanSetAndThatMoreThanAFileAndThatMoreThanTheDefault) {
  write("c.toml", "lr = 0.5\nseed = 3\nbatch-size = 8\n");
  ASSERT_EQ(train({"--lr", "0.125", "--config", "c.toml", "--set", "lr=0.25", "--set", "seed=5",
                   "--out", "r", "--steps", "1"})
                .code,
            0);
  EXPECT_EQ(setting("r", "lr"), "0.125");
  EXPECT_EQ(setting("r", "seed"), "5");
  EXPECT_EQ(setting("r", "batch_size"), "8");
  EXPECT_EQ(setting("r", "epochs"), "10");
}

TEST_F(Train, TakesTheLastOfAFlagGivenTwice) {
  ASSERT_EQ(
      train({"--lr", "1", "--lr", "0.5", "--no-shuffle", "--shuffle", "--out", "a", "--steps", "1"})
          .code,
      0);
  EXPECT_EQ(setting("a", "lr"), "0.5");
  EXPECT_EQ(setting("a", "shuffle"), "true");
  ASSERT_EQ(train({"--shuffle", "--no-shuffle", "--out", "b", "--steps", "1"}).code, 0);
  EXPECT_EQ(setting("b", "shuffle"), "false");
}

TEST_F(Train, RefusesBadSettingsBeforeItWritesAnything) {
  const auto with_config = [&](const char* toml) {
    write("c.toml", toml);
    return train({"--config", "c.toml", "--out", "r"});
  };
  expect_error(train({"--batch-size", "0", "--out", "r"}), 2, "must be at least 1, not 0");
  expect_error(train({"--set", "lr=abc", "--out", "r"}), 2, "'lr' must be a number, not 'abc'");
  expect_error(train({"--max-val", "20000", "--out", "r"}), 2, "must be at most 10000");
  expect_error(train({"--mask", "keys", "--out", "r"}), 2, "one of key, query, none, not 'keys'");
  expect_error(with_config("lrr = 1\n"), 2,
               "c.toml: line 1: there is no setting 'lrr'; did you mean 'lr'?");
  expect_error(with_config("lr = 'x'\n"), 2, "c.toml: line 1: 'lr' has the wrong type");
  expect_error(with_config("lr = 1\nseed = = 2\n"), 2, "config: c.toml: line 2: ");
  expect_error(train({"--config", "d", "--out", "r"}), 2, "cannot read 'd': Is a directory");
  expect_error(train({"--config", "none.toml", "--out", "r"}), 2, "cannot open 'none.toml'");
  EXPECT_FALSE(exists("r"));
}

TEST_F(Train, StartsFromWeightsInAFile) {
  ASSERT_EQ(train({"--out", "a", "--steps", "5"}).code, 0);
  ASSERT_EQ(
      train({"--out", "b", "--steps", "1", "--lr", "0", "--init", "a/model.safetensors"}).code, 0);
  const auto weights = load_tensors(path("a/model.safetensors"));
  for (const auto& [name, tensor] : load_tensors(path("b/model.safetensors"))) {
    EXPECT_TRUE(is_identical(tensor, weights.at(name))) << name;
  }
}

TEST_F(Train, GivesTheSameModelWhereverItsStartingWeightsWere) {
  ASSERT_EQ(train({"--out", "a", "--steps", "5"}).code, 0);
  std::filesystem::create_directory(path("elsewhere"));
  std::filesystem::copy_file(path("a/model.safetensors"), path("elsewhere/start.safetensors"));
  const auto from = [&](const std::string& weights, const std::string& out) {
    return train({"--out", out, "--steps", "3", "--init", weights});
  };
  EXPECT_THAT(from("a/model.safetensors", "b").err, Not(HasSubstr("has changed")));
  EXPECT_THAT(from(path("elsewhere/start.safetensors").string(), "c").err,
              Not(HasSubstr("has changed")));
  EXPECT_EQ(read("b/model.safetensors"), read("c/model.safetensors"));
  EXPECT_EQ(run({"predict", "b", "x=1,y=2:x+y"}).err, "");
  EXPECT_EQ(setting("b", "init"), fmt::format("'{}'", path("a/model.safetensors").string()));
}

// TOML's integers end at 2^63 - 1.
TEST_F(Train, TakesAnySeedOf64Bits) {
  const auto with = [&](const char* out, const char* seed) {
    const auto result = train({"--out", out, "--steps", "41", "--seed", seed});
    EXPECT_EQ(result.code, 0) << result.err;
    return read(std::string(out) + "/model.safetensors");
  };
  const std::string largest = with("a", "18446744073709551615");
  EXPECT_NE(largest, with("b", "18446744073709551614"));
  EXPECT_EQ(setting("a", "seed"), "'18446744073709551615'");
  with("c", "9223372036854775807");
  EXPECT_EQ(setting("c", "seed"), "9223372036854775807");
  EXPECT_THAT(run({"inspect", "a"}).out, HasSubstr("'18446744073709551615'"));
  EXPECT_EQ(run({"eval", "a"}).err, "");
  const auto resumed = train({"--out", "a", "--resume", "--steps", "60"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  const auto whole = train({"--out", "d60", "--steps", "60", "--seed", "18446744073709551615"});
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(run({"predict", "a", "--probabilities", "x=1,y=2:x+y"}).out,
            run({"predict", "d60", "--probabilities", "x=1,y=2:x+y"}).out);
  for (const char* seed : {"-1", "18446744073709551616", "0.5", "1e3", "", "one"}) {
    expect_error(train({"--out", "e", "--seed", seed}), 2,
                 "'seed' must be a whole number from 0 to 18446744073709551615, not '");
  }
}

TEST_F(Train, WritesLinesOfProgressWhereThereIsNoTerminal) {
  const auto result = run({"train", "blog", "--data", "d", "--out", "r", "--epochs", "2"});
  EXPECT_THAT(result.err, HasSubstr("reflect  Reflect  (B, 20, 15)         675  uses\n"));
  EXPECT_THAT(result.err, HasSubstr("\nepoch 2/2  loss "));
  EXPECT_THAT(result.err, Not(HasSubstr("\r")));
  EXPECT_THAT(result.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(result.out, Not(HasSubstr("epoch")));
}

// Columns that a line takes on a terminal, without colors.
std::size_t columns_of(const std::string& text) {
  const std::string plain = std::regex_replace(text, std::regex("\x1b\\[[0-9;]*[mK]"), "");
  return static_cast<std::size_t>(std::count_if(plain.begin(), plain.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

TEST_F(Train, FitsItsBarIntoTheTerminal) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  ASSERT_EQ(run({"data", "arithmetic", "--out", "big", "--shards", "1", "--samples", "8000"}).code,
            0);
  for (const int columns : {100, 60, 30}) {
    const std::string name = std::to_string(columns);
    const auto result = run({"train", "blog", "--data", "big", "--shards", "1", "--epochs", "1",
                             "--batch-size", "1", "--out", name},
                            {.environment = {"LC_ALL=C.UTF-8"}, .terminal_columns = columns});
    ASSERT_EQ(result.code, 0) << result.out;
    const std::regex expression("\r\x1b\\[K([^\r\n]*━[^\r\n]*)");
    std::size_t bars = 0;
    for (std::sregex_iterator bar(result.out.begin(), result.out.end(), expression), end;
         bar != end; ++bar, ++bars) {
      EXPECT_LT(columns_of((*bar)[1]), static_cast<std::size_t>(columns)) << (*bar)[1];
      EXPECT_THAT((*bar)[1].str(), HasSubstr("/8000"));
    }
    EXPECT_GT(bars, 0U);
    EXPECT_THAT(result.out, HasSubstr("\r\x1b[Kepoch 1/1  loss ")) << "wipes the bar";
  }
}

// The three variables that name a locale, as POSIX orders them.
TEST_F(Train, DrawsInAsciiAloneUnlessTheLocaleIsOneOfUtf8) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  ASSERT_EQ(run({"data", "arithmetic", "--out", "big", "--shards", "1", "--samples", "6000"}).code,
            0);
  const auto draws_ascii = [&](std::vector<std::string> locale) {
    const auto result = run({"train", "blog", "--data", "big", "--out", "r", "--force", "--epochs",
                             "1", "--batch-size", "1", "--progress", "bar"},
                            {.environment = std::move(locale), .terminal_columns = 100});
    EXPECT_EQ(result.code, 0) << result.out;
    EXPECT_THAT(result.out, HasSubstr("/6000  ")) << "drew no bar";
    const bool is_ascii = std::ranges::all_of(result.out, [](char c) { return (c & 0x80) == 0; });
    EXPECT_EQ(is_ascii, result.out.find("==") != std::string::npos);
    return is_ascii;
  };
  EXPECT_TRUE(draws_ascii({"LC_ALL=C", "LANG=en_US.UTF-8"}));
  EXPECT_TRUE(draws_ascii({"LC_ALL=", "LC_CTYPE=POSIX", "LANG=en_US.UTF-8"}));
  EXPECT_TRUE(draws_ascii({"LC_ALL=", "LC_CTYPE=", "LANG="}));
  EXPECT_FALSE(draws_ascii({"LC_ALL=", "LC_CTYPE=", "LANG=de_DE.utf8"}));
  EXPECT_FALSE(draws_ascii({"LC_ALL=en_US.UTF-8", "LANG=C"}));
}

TEST_F(Train, SaysWhatItsMeansCoverWhereStepsEndWithinAnEpoch) {
  for (const auto& [steps, covered, rows] : {std::tuple(50, 10, 1), {33, 33, 0}, {81, 1, 2}}) {
    const std::string name = fmt::format("r{}", steps);
    const auto result = train({"--out", name, "--steps", std::to_string(steps)});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_TRUE(std::regex_search(
        result.out, std::regex(fmt::format("loss +[0-9.]+  mean of the last {0} step{1}\n"
                                           "accuracy +[0-9.]+  mean of the last {0} step{1}\n",
                                           covered, covered == 1 ? "" : "s"))))
        << result.out;
    EXPECT_TRUE(exists(fmt::format("{}/checkpoints/step_{:012}.safetensors", name, steps)));
    EXPECT_TRUE(exists(name + "/model.safetensors"));
    EXPECT_TRUE(exists(name + "/report.html"));
    EXPECT_EQ(run({"inspect", name}).code, 0);
    const std::string table = read(name + "/epochs.csv");
    EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 1 + rows) << table;
  }
}

}  // namespace
}  // namespace maskgrad
