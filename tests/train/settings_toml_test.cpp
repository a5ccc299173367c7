// Settings in TOML files: a user's, and those that a run saves.
#include <algorithm>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/train/settings.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/loading.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::loading;
using test::loading_saved;
using test::make_settings;
using test::ScratchFolder;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Int = std::int64_t;

TEST(Settings, KeepSeedsOf64BitsInTomlWhoseIntegersHave63) {
  constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();
  const auto make = [](std::uint64_t seed) {
    return Settings({Setting{"seed", seed, "random numbers"}});
  };
  for (const std::uint64_t seed : {std::uint64_t{0}, kLargest / 2, kLargest / 2 + 1, kLargest}) {
    const std::string text = make(seed).to_toml();
    const bool is_quoted = text.find("seed = '") != std::string::npos;
    EXPECT_EQ(is_quoted, seed > kLargest / 2) << text;
    Settings read = make(1);
    read.read_saved_toml(text, "c.toml");
    EXPECT_EQ(read.seed(), seed) << text;
    Settings set = make(1);
    set.set("seed", fmt::format("{}", seed), "--set");
    EXPECT_EQ(set.seed(), seed);
  }
  Settings settings = make(0);
  EXPECT_EQ(loading(settings, "seed = '7'\n"), "no error");
  EXPECT_NE(
      loading(settings, "seed = 18446744073709551615\n")
          .find("not representable in 64 bits; only a seed may be larger, as a text in quotes"),
      std::string::npos);
  EXPECT_EQ(settings.seed(), 7u);
  for (const char* line :
       {"seed = -1", "seed = '-1'", "seed = ''", "seed = '18446744073709551616'"}) {
    EXPECT_THAT(loading(settings, line),
                HasSubstr("'seed' must be a whole number from 0 to 1844674"));
  }
  for (const char* line : {"seed = 1.0", "seed = true"}) {
    EXPECT_THAT(loading(settings, line), HasSubstr("'seed' has the wrong type; its default is 7"));
  }
}

TEST(Settings, NameTheLineWhereAFileIsNoToml) {
  EXPECT_THAT(loading("lr = 1\n\nmask = \n"), StartsWith("[config] FILE: line 3: "));
  EXPECT_THAT(loading("lr = 1\nlr = 2\n"), StartsWith("[config] FILE: line 2: "));
  EXPECT_THAT(loading("mask = \"open\nlr = 1"), StartsWith("[config] FILE: line 1: "));
  EXPECT_THAT(loading("data = '\xff'"), StartsWith("[config] FILE: line 1: "));
  Settings settings = make_settings();
  EXPECT_EQ(error_of([&] { settings.load_toml("/nonexistent.toml"); }),
            "[file] cannot open '/nonexistent.toml': No such file or directory");
}

TEST(Settings, ComeBackFromTheirOwnToml) {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  const std::string odd = "größe \u2028 \u0085 \uef80 \uefff \U0001f600";
  for (const std::string& text :
       {std::string("plain"), std::string(), std::string("with \"quotes\" and \\ and #"),
        std::string("two\r\nlines'"), odd, std::string("cut \xc3"), all_bytes}) {
    for (const double x : {0.0, 1e-3, 1.0 / 3.0, 1e-300, 1e22, -12345678.0}) {
      Settings settings = make_settings(), copy = make_settings();
      settings.set("data", text, "t");
      settings.set("weight", fmt::format("{}", x), "t");
      settings.set("batch_size", "9223372036854775807", "t");
      settings.set("shuffle", "false", "t");
      const std::string toml = settings.to_toml();
      EXPECT_EQ(std::count(toml.begin(), toml.end(), '\n'), 7) << "a line each: " << toml;
      ASSERT_EQ(loading_saved(copy, toml), "no error") << toml;
      EXPECT_THAT(copy.differences(settings), ::testing::IsEmpty());
      for (const Setting& s : settings.all()) {
        EXPECT_EQ(copy.all()[static_cast<std::size_t>(&s - settings.all().data())].value, s.value)
            << s.key;
      }
    }
  }
}

TEST(Settings, SaveTheRunAndNotTheCallWithTheHelpBeside) {
  Settings settings = make_settings();
  settings.set("resume", "true", "t");
  const std::string toml = settings.to_toml();
  EXPECT_THAT(toml, StartsWith("version = 7                      # of this file's format\n"
                               "batch_size = 32                  # samples in a step\n"));
  EXPECT_THAT(toml, HasSubstr("\nmask = 'key'  "));
  EXPECT_EQ(toml.find("resume"), std::string::npos);
}

TEST(Settings, RefuseASavedFileThatIsCutAnywhere) {
  const std::string toml = make_settings().to_toml();
  for (std::size_t size = 0; size < toml.size(); ++size) {
    Settings settings = make_settings();
    EXPECT_NE(loading_saved(settings, toml.substr(0, size)), "no error") << size;
  }
}

TEST(Settings, SayWhatASavedFileLacks) {
  const std::string toml = make_settings().to_toml();
  const auto without = [&](const std::string& key) {
    const std::size_t begin = toml.find(key + " = ");
    std::string cut = toml;
    Settings settings = make_settings();
    return loading_saved(settings, cut.erase(begin, toml.find('\n', begin) + 1 - begin));
  };
  EXPECT_EQ(without("lr"),
            "[config] FILE: 'lr' is missing: the file is damaged; each checkpoint of the run holds "
            "a copy of it");
  EXPECT_THAT(without("data"), HasSubstr("'data' is missing"));
  EXPECT_EQ(
      without("version"),
      "[config] FILE: 'version' is missing: the file is damaged, or of the first maskgrad; if "
      "its settings are right, add the line: version = 1");
  Settings settings = make_settings();
  EXPECT_EQ(
      loading_saved(settings, toml.substr(0, toml.size() - 1)),
      "[config] FILE: its last line does not end: the file is damaged; each checkpoint of the "
      "run holds a copy of it");
  EXPECT_THAT(loading_saved(settings, "version = 7\nlr = 'a\n"),
              EndsWith("; each checkpoint of the run holds a copy of it"));
  EXPECT_THAT(loading(settings, "lr = 'a\n"), Not(HasSubstr("checkpoint")));
}

TEST(Settings, NeedNotStandInFilesThatAreOlderThanThey) {
  Settings settings(
      {Setting{"lr", 1e-3, "learning rate"}, Setting{"decay", 0.5, "came later"}.since(2)});
  EXPECT_EQ(loading_saved(settings, "version = 1\nlr = 0.25\n"), "no error");
  EXPECT_EQ(settings.real("lr"), 0.25);
  EXPECT_EQ(settings.real("decay"), 0.5);
  EXPECT_THAT(loading_saved(settings, "version = 2\nlr = 0.25\n"), HasSubstr("'decay' is missing"));
  EXPECT_THAT(loading_saved(settings, "version = 1\n"), HasSubstr("'lr' is missing"));
}

TEST(Settings, LeaveTheVersionToTheFile) {
  EXPECT_EQ(error_of([] {
              Settings({Setting{"version", Int{1}, ""}});
            }),
            "[config] no setting may be called 'version'");
}

TEST(Settings, ReadTheVersionsTheyKnow) {
  for (const char* version : {"1", "2", "3", "4", "5", "6", "7"}) {
    EXPECT_EQ(loading(fmt::format("version = {}", version)), "no error");
  }
  EXPECT_EQ(loading("version = 8"),
            "[config] FILE: line 1: has version 8, and this maskgrad reads up to 7: take a newer "
            "one");
  for (const char* version : {"0", "-1", "'2'", "2.0", "true"}) {
    EXPECT_EQ(loading(fmt::format("version = {}", version)),
              "[config] FILE: line 1: 'version' must be a whole number above 0");
  }
}

TEST(Settings, RefuseTomlThatWouldOverflowTheStack) {
  const auto repeated = [](const std::string& piece, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += piece;
    return text;
  };
  const std::string deep = "[config] FILE: line 2: nested too deeply";
  for (const std::string& line :
       {repeated("a.", 50000) + "a = 1", fmt::format("x = {}", repeated("[", 50000)),
        repeated("[a.", 50000), "x = " + repeated("{a = ", 50000),
        "x = " + repeated("{a.a.a = ", 50000), repeated("'a'.", 50000) + "a = 1",
        "x = {y = 'a', " + repeated("a.", 50000), fmt::format("[{}a]", repeated("a.", 50000))}) {
    EXPECT_EQ(loading(fmt::format("\n{}\n", line)), deep) << line.substr(0, 20);
  }
  EXPECT_EQ(loading("data = '" + repeated(".[{", 50000) + "' # " + repeated("a.[", 50000)),
            "no error")
      << "neither a text nor a comment nests";
  EXPECT_EQ(loading(R"(data = "a'b\"\\" # [)" + repeated("[", 50)), "no error");
  std::string long_line(1 << 20, ' ');
  long_line += '\n';
  EXPECT_THAT(loading(long_line), HasSubstr("it has more than 1048576 bytes"));
}

TEST(Settings, HoldWhatIsNotAsciiInQuotesAndCommentsOnly) {
  EXPECT_EQ(loading("\xef\xbb\xbf"
                    "data = 'größe' # größe\n"),
            "no error")
      << "a byte order mark";
  for (const char* text : {"lr = 1\ngröße = 1", "lr = 1\n\xff", "lr = 1\nlr\ufefe= 1"}) {
    EXPECT_EQ(loading(text), "[config] FILE: line 2: not ASCII outside quotes and comments");
  }
}

TEST(Settings, HoldQuotesWhereTextsBeginOnly) {
  EXPECT_EQ(loading("'data' = 'a' # it's\n\"lr\"\t=\t1\n'resume'=true\n"), "no error");
  // toml++ 3.3 shifts by too many bits while it looks for the end of the number.
  for (const char* text :
       {"lr = 1\nx = [1<'\xc6\x85", "\nlr = 1'a'", "\ndata = 'a''b'", "\nlr'a' = 1"}) {
    EXPECT_EQ(loading(text), "[config] FILE: line 2: a quote within a word");
  }
  for (const char* text :
       {"\ndata = \"\"\"a\"\"\"", "\ndata = '''\na'''", "\n\"\"\"\"q\xef\xbb\xb6"}) {
    EXPECT_EQ(loading(text), "[config] FILE: line 2: a text of several lines: use \"\\n\"");
  }
  EXPECT_EQ(loading("data = \"\"\n"), "no error");
}

TEST(Settings, AreReadFromRegularFilesOnly) {
  Settings settings = make_settings();
  EXPECT_EQ(error_of([&] { settings.load_toml("/dev/zero"); }),
            "[file] cannot read '/dev/zero': it is no regular file");
  EXPECT_EQ(error_of([&] { settings.load_saved_toml("/dev/null"); }),
            "[file] cannot read '/dev/null': it is no regular file");
}

TEST(TomlText, ReadsOneKeyOfAnyToml) {
  const ScratchFolder folder;
  std::ofstream(folder / "c.toml") << "recipe = \"blog\"\nother = 3\n[table]\nx = 1\n";
  EXPECT_EQ(toml_text(folder / "c.toml", "recipe"), "blog");
  EXPECT_EQ(toml_text(folder / "c.toml", "missing"), std::nullopt);
  EXPECT_EQ(toml_text(folder / "c.toml", "other"), std::nullopt);
  EXPECT_EQ(toml_text("a = 'b'", "copy", "a"), "b");
  EXPECT_THAT(error_of([&] { toml_text("a = ", "copy", "a"); }),
              StartsWith("[config] copy: line 1:"));
}

}  // namespace
}  // namespace maskgrad
