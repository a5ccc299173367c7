#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/json_reader.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string error_in(std::string_view text) {
  return error_of([&] {
    JsonReader json(text, "json", "text");
    json.skip();
    json.finish();
  });
}

std::string read_string(std::string_view text) {
  JsonReader json(text, "json", "text");
  std::string value = json.string();
  json.finish();
  return value;
}

TEST(JsonReader, HandsOutMembersAndElementsInOrder) {
  JsonReader json(R"( { "a" : [1, 2,3] , "b":null,"a":{ } } )", "json", "text");
  std::vector<std::string> keys;
  std::vector<std::uint64_t> numbers;
  json.enter_object();
  for (std::string key; json.next_member(key);) {
    keys.push_back(key);
    if (keys.size() > 1) {
      EXPECT_EQ(json.is_null(), key == "b");
      json.skip();
      continue;
    }
    json.enter_array();
    while (json.next_element()) numbers.push_back(json.integer());
  }
  json.finish();
  EXPECT_THAT(keys, ElementsAre("a", "b", "a"));
  EXPECT_THAT(numbers, ElementsAre(1U, 2U, 3U));
}

TEST(JsonReader, DecodesEscapes) {
  EXPECT_EQ(read_string(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(read_string(R"("\u0041\u00e9\u20AC\ud83d\ude00\u0000")"), std::string("Aé€😀\0", 11));
  EXPECT_EQ(read_string("\"é\x7f\""), "é\x7f");
}

TEST(JsonReader, AcceptsWhatJsonAllows) {
  for (const char* text : {"0", "-0", "-1.5e-3", "1E+2", "0e999", "1e-999",
                           "123456789012345678901234567890", "true", "false", "null", "\"\"", "[]",
                           "{}", "[[],{}]", " \t\r\n[ 1 , \"a\" ] \n", R"({"":{"a":[1.0e1]}})"}) {
    EXPECT_EQ(error_in(text), "no error") << text;
  }
}

TEST(JsonReader, RefusesNumbersAndWordsThatJsonHasNot) {
  for (const char* text : {"01", "+1", ".5", "5.", "1e", "1e+", "-", "0x1", "1_0", "1e999",
                           "-1e999", "NaN", "Infinity", "tru", "nul", "True"}) {
    EXPECT_NE(error_in(text), "no error") << text;
  }
}

TEST(JsonReader, RefusesMalformedStrings) {
  for (const char* text : {"'a'", R"(")", R"("\")", R"("\x")", R"("\u12")", R"("\u12g4")",
                           R"("\u+123")", "\"\n\"", "\"\x1f\"", "\"\xff\"", "\"\xed\xa0\x80\""}) {
    EXPECT_NE(error_in(text), "no error") << text;
  }
  EXPECT_NE(error_in(std::string_view("\"\0\"", 3)), "no error");
}

TEST(JsonReader, RefusesMalformedStructure) {
  for (const char* text :
       {"", " ", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "[]]", "1 2"}) {
    EXPECT_NE(error_in(text), "no error") << text;
  }
  for (const char* text : {"{", R"({"a")", R"({"a":)", R"({"a":1)", R"({"a":1,})", "{,}", "{a:1}",
                           "{1:1}", R"({"a" 1})", R"({"a":1])"}) {
    EXPECT_NE(error_in(text), "no error") << text;
  }
}

TEST(JsonReader, RefusesWhatOnlyLooksLikeWhiteSpace) {
  for (const char* text : {"//\n1", "[1/**/]", "\f1", "\v1", "\xc2\xa0[]", "\xef\xbb\xbf[]"}) {
    EXPECT_NE(error_in(text), "no error") << text;
  }
  EXPECT_NE(error_in(std::string_view("1\0", 2)), "no error");
}

TEST(JsonReader, RefusesLoneSurrogates) {
  for (const char* text : {R"("\ud800")", R"("\udc00")", R"("\ud800x")", R"("\ud800\n")",
                           R"("\ud800\ud800")", R"("\ud800\u0041")", R"("\udc00\ud800")"}) {
    EXPECT_THAT(error_in(text), HasSubstr("lone surrogate")) << text;
  }
}

TEST(JsonReader, ReadsWholeNumbersOnly) {
  const auto read = [](std::string_view text) {
    return JsonReader(text, "json", "text").integer();
  };
  EXPECT_EQ(read("0"), 0U);
  EXPECT_EQ(read("18446744073709551615"), UINT64_MAX);
  for (const char* text : {"18446744073709551616", "-1", "-0", "1.0", "1e1", "1E0", "01", "\"1\"",
                           "null", "[]", "99999999999999999999999999999"}) {
    EXPECT_NE(error_of([&] {
                JsonReader json(text, "json", "text");
                json.integer();
                json.finish();
              }),
              "no error")
        << text;
  }
}

TEST(JsonReader, ReadsRealNumbersToTheNearestDouble) {
  const auto read = [](std::string_view text) { return JsonReader(text, "json", "text").real(); };
  EXPECT_EQ(read("0.1"), 0.1);
  EXPECT_EQ(read("-2.5e-3"), -0.0025);
  EXPECT_TRUE(std::signbit(read("-0")));
  EXPECT_EQ(read("5e-324"), 5e-324);
  EXPECT_EQ(read("1e-400"), 0.0);
  EXPECT_EQ(read("1.7976931348623157e308"), 1.7976931348623157e308);
  EXPECT_EQ(error_of([&] { read("1e309"); }), "[json] text byte 5: a number is out of range");
  for (const char* text : {"nan", "inf", "+1", ".5", "\"1\"", "0x1"}) {
    EXPECT_NE(error_of([&] {
                JsonReader json(text, "json", "text");
                json.real();
                json.finish();
              }),
              "no error")
        << text;
  }
}

TEST(JsonReader, StopsAt127LevelsOfNesting) {
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_EQ(error_in(nested(127)), "no error");
  EXPECT_THAT(error_in(nested(128)), HasSubstr("nested too deeply"));
  EXPECT_THAT(error_in(std::string(1000000, '[')), HasSubstr("nested too deeply"));
}

TEST(JsonReader, SaysWhereItStands) {
  EXPECT_EQ(error_in("[1,\n x]"), "[json] text byte 5: expected a value");
  EXPECT_EQ(error_in("{\"a\" 1}"), "[json] text byte 5: expected ':'");
  EXPECT_EQ(error_in("[\"é\xff\"]"), "[json] text byte 4: not UTF-8");
}

}  // namespace
}  // namespace maskgrad
