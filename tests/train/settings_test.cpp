#include <algorithm>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/train/settings.hpp>

#include "support/errors.hpp"
#include "train/loading.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::loading;
using test::make_settings;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Int = std::int64_t;
using Text = std::string;

std::string setting(const char* key, const char* text) {
  Settings settings = make_settings();
  return error_of([&] { settings.set(key, text, "--set"); });
}

TEST(Settings, StartWithTheirDefaults) {
  const Settings settings = make_settings();
  EXPECT_EQ(settings.integer("batch_size"), 32);
  EXPECT_EQ(settings.real("lr"), 1e-3);
  EXPECT_TRUE(settings.flag("shuffle"));
  EXPECT_EQ(settings.text("mask"), "key");
  EXPECT_EQ(settings.all().size(), 7U);
}

TEST(Settings, TakeTheLastOfSeveralValues) {
  Settings settings = make_settings();
  EXPECT_EQ(loading(settings, "batch_size = 8\nlr = 0.5\nmask = 'none'\n"), "no error");
  settings.set_pair("lr=0.25", "--set");
  settings.set("batch-size", "2", "--batch-size");
  EXPECT_EQ(settings.integer("batch_size"), 2);
  EXPECT_EQ(settings.real("lr"), 0.25);
  EXPECT_EQ(settings.text("mask"), "none");
  EXPECT_TRUE(settings.flag("shuffle"));
  EXPECT_EQ(loading(settings, "lr = 0.125"), "no error");
  EXPECT_EQ(settings.real("lr"), 0.125);
}

TEST(Settings, ReadEachTypeFromText) {
  Settings settings = make_settings();
  settings.set("lr", "1e-4", "t");
  settings.set("shuffle", "false", "t");
  settings.set_pair("data=a=b, c", "t");
  EXPECT_EQ(settings.real("lr"), 1e-4);
  EXPECT_FALSE(settings.flag("shuffle"));
  EXPECT_EQ(settings.text("data"), "a=b, c");
  settings.set_pair("data=", "t");
  EXPECT_EQ(settings.text("data"), "");
  settings.set("lr", "3", "t");
  EXPECT_EQ(settings.real("lr"), 3.0);
}

TEST(Settings, SuggestTheNearestKeyForAnUnknownOne) {
  const char* text = "[config] --set: there is no setting 'batchsize'; did you mean 'batch_size'?";
  EXPECT_EQ(setting("batchsize", "2"), text);
  EXPECT_EQ(setting("zzzzzz", "2"), "[config] --set: there is no setting 'zzzzzz'");
  EXPECT_EQ(loading("[train]\nlr = 1\n"), "[config] FILE: line 1: there is no setting 'train'");
  EXPECT_EQ(loading("shufle = true"),
            "[config] FILE: line 1: there is no setting 'shufle'; did you mean 'shuffle'?");
}

TEST(Settings, RefuseTextsOfAnotherType) {
  for (const char* text : {"", "1.5", "1e3", "x", "2 ", "+2", "99999999999999999999"}) {
    EXPECT_EQ(setting("batch-size", text),
              fmt::format("[config] --set: 'batch-size' must be a whole number, not '{}'", text));
  }
  for (const char* text : {"", "1,5", "0.1x", "1e999"}) {
    EXPECT_EQ(setting("lr", text),
              fmt::format("[config] --set: 'lr' must be a number, not '{}'", text));
  }
  for (const char* text : {"", "True", "1", "yes"}) {
    EXPECT_EQ(setting("shuffle", text),
              fmt::format("[config] --set: 'shuffle' must be true or false, not '{}'", text));
  }
  Settings settings = make_settings();
  EXPECT_EQ(error_of([&] { settings.set_pair("lr", "--set"); }),
            "[config] --set: 'lr' is not key=value");
}

TEST(Settings, RefuseValuesOutOfRange) {
  EXPECT_EQ(setting("batch_size", "0"), "[config] --set: 'batch_size' must be at least 1, not 0");
  EXPECT_EQ(setting("lr", "-0.5"), "[config] --set: 'lr' must be at least 0, not -0.5");
  EXPECT_EQ(setting("lr", "101"), "[config] --set: 'lr' must be at most 100, not 101.0");
  EXPECT_EQ(setting("lr", "inf"), "[config] --set: 'lr' must be at most 100, not inf");
  EXPECT_EQ(setting("lr", "100"), "no error");
  EXPECT_EQ(setting("lr", "nan"), "[config] --set: 'lr' must be at least 0, not nan");
  Settings unbounded({Setting{"minutes", 0.0, "time"}.at_least(0)});
  EXPECT_EQ(error_of([&] { unbounded.set("minutes", "inf", "--minutes"); }),
            "[config] --minutes: 'minutes' must be finite, not inf");
  EXPECT_EQ(setting("mask", "keys"),
            "[config] --set: 'mask' must be one of key, query, none, not 'keys'");
  EXPECT_EQ(loading("batch_size = 0"),
            "[config] FILE: line 1: 'batch_size' must be at least 1, not 0");
  EXPECT_EQ(loading("mask = ''"),
            "[config] FILE: line 1: 'mask' must be one of key, query, none, not ''");
  Settings settings = make_settings();
  error_of([&] { settings.set("batch_size", "0", "t"); });
  EXPECT_EQ(settings.integer("batch_size"), 32) << "the refused value left no trace";
}

TEST(Settings, CompareIntegersWithoutRounding) {
  constexpr Int kMost = std::numeric_limits<Int>::max(), kLeast = std::numeric_limits<Int>::min();
  const auto refused = [](const Setting& setting, Int value) {
    Settings settings({setting});
    return error_of([&] { settings.set("n", std::to_string(value), "t"); });
  };
  const Setting any{"n", Int{0}, "a number"};
  // Neither is a double.
  EXPECT_EQ(refused(any.at_most((Int{1} << 53) + 1), (Int{1} << 53) + 2),
            "[config] t: 'n' must be at most 9007199254740993, not 9007199254740994");
  EXPECT_EQ(refused(any.at_most((Int{1} << 53) + 1), (Int{1} << 53) + 1), "no error");
  EXPECT_EQ(refused(any.at_most(kMost - 1), kMost),
            "[config] t: 'n' must be at most 9223372036854775806, not 9223372036854775807");
  EXPECT_EQ(refused(any.at_least(kLeast + 1), kLeast),
            "[config] t: 'n' must be at least -9223372036854775807, not -9223372036854775808");
  // 2^63 as a double: no integer reaches it.
  EXPECT_EQ(refused(any.at_most(0x1p63), kMost), "no error");
  EXPECT_EQ(refused(any.at_least(0x1p63), kMost),
            "[config] t: 'n' must be at least 9.223372036854776e+18, not 9223372036854775807");
  EXPECT_EQ(refused(any, kLeast), "no error");
}

TEST(Settings, TakeNoIntegerForARealNumberThatItIsNot) {
  EXPECT_EQ(setting("weight", "9007199254740993"),
            "[config] --set: 'weight': 9007199254740993 is no float64");
  EXPECT_EQ(setting("weight", "9007199254740992"), "no error");
  EXPECT_EQ(setting("weight", "9007199254740993.0"), "no error") << "a real number, rounded";
  EXPECT_EQ(loading("weight = 9007199254740993"),
            "[config] FILE: line 1: 'weight': 9007199254740993 is no float64");
  EXPECT_EQ(loading("weight = -9007199254740992"), "no error");
  EXPECT_EQ(setting("batch_size", "9223372036854775807"), "no error");
  EXPECT_EQ(setting("batch_size", "9223372036854775808"),
            "[config] --set: 'batch_size': 9223372036854775808 is no int64");
}

TEST(Settings, TakeAWholeNumberForARealOneAndConvertNothingElse) {
  Settings settings = make_settings();
  EXPECT_EQ(loading(settings, "lr = 2"), "no error");
  EXPECT_EQ(settings.real("lr"), 2.0);
  EXPECT_EQ(loading("batch_size = 2.0"),
            "[config] FILE: line 1: 'batch_size' has the wrong type; its default is 32");
  EXPECT_EQ(loading("shuffle = 1"),
            "[config] FILE: line 1: 'shuffle' has the wrong type; its default is true");
  EXPECT_EQ(loading("lr = '2'"),
            "[config] FILE: line 1: 'lr' has the wrong type; its default is 0.001");
  EXPECT_EQ(loading("data = 2"),
            "[config] FILE: line 1: 'data' has the wrong type; its default is ''");
  EXPECT_EQ(loading("data = ['a']"),
            "[config] FILE: line 1: 'data' has the wrong type; its default is ''");
}

TEST(Settings, TellWhatDiffersFromOthers) {
  Settings before = make_settings(), after = make_settings();
  EXPECT_THAT(before.differences(after), ::testing::IsEmpty());
  after.set("lr", "0.5", "t");
  after.set("data", "a\nb", "t");
  after.set("resume", "true", "t");  // is not saved
  EXPECT_THAT(before.differences(after),
              ::testing::ElementsAre("lr: 0.001 -> 0.5", R"(data: '' -> "a\nb")"));
  before.read_saved_toml(after.to_toml(), "copy");
  EXPECT_THAT(before.differences(after), ::testing::IsEmpty());
}

TEST(Settings, GiveOnlyKnownKeysOfTheRightType) {
  const Settings settings = make_settings();
  EXPECT_TRUE(settings.has("resume"));
  EXPECT_FALSE(settings.has("nothing"));
  EXPECT_EQ(error_of([&] { settings.integer("lr"); }), "[config] 'lr' has another type");
  EXPECT_EQ(error_of([&] { settings.text("nothing"); }), "[config] there is no setting 'nothing'");
}

TEST(Settings, RepeatsNoMoreThanTheBeginningOfALongText) {
  Settings settings({Setting{"count", std::int64_t{1}, ""}, Setting{"on", true, ""},
                     Setting{"name", std::string("a"), ""}.one_of({"a", "b"})});
  const std::string x(10'000, 'x');
  for (const std::string& pair : {x, x + "=1", "count=" + x, "on=" + x, "name=" + x}) {
    try {
      settings.set_pair(pair, "--set");
      ADD_FAILURE() << pair.substr(0, 10);
    } catch (const Error& error) {
      EXPECT_LT(std::string(error.what()).size(), 200U) << error.what();
    }
  }
}

}  // namespace
}  // namespace maskgrad
