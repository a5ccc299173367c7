#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

TEST(Utf8, TakesTheFirstAndLastCharacterOfEveryLength) {
  // RFC 3629, and the two neighbours of the surrogates.
  for (const std::string text :
       {"", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(text + "x"));
  }
  EXPECT_TRUE(is_utf8(std::string("\0", 1)));
}

TEST(Utf8, FindsTheFirstByteThatIsNot) {
  for (const std::string text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2x", "\xe0\x9f\xbf", "\xe0\xa0",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff"}) {
    EXPECT_EQ(utf8_prefix("é" + text), 2U);
    EXPECT_EQ(utf8_prefix("é" + text + "abc"), 2U);
  }
}

TEST(Utf8, QuotesAsJsonDoes) {
  EXPECT_EQ(json_quote("a\"b\\c/é"), "\"a\\\"b\\\\c/é\"");
  EXPECT_EQ(json_quote("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(json_quote(std::string("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\x7f\"");
}

TEST(Utf8, HoldsAnyBytesAndGivesThemBack) {
  EXPECT_EQ(utf8_from_bytes("größe \n"), "größe \n");
  EXPECT_EQ(utf8_from_bytes("a\xff\x80"), "a\uefff\uef80");
  EXPECT_EQ(utf8_from_bytes("\xc3"), "\uefc3");
  // A character that stands for a byte would come back as that byte: its own bytes are written.
  EXPECT_EQ(utf8_from_bytes("\uef80"), "\uefee\uefbe\uef80");
  EXPECT_EQ(bytes_from_utf8("x\uefffy"), "x\xffy");
  EXPECT_EQ(bytes_from_utf8("\uef7f\uf000"), "\uef7f\uf000") << "the neighbours stand for nothing";
  std::string bytes;
  for (int a = 0; a < 256; ++a) {
    for (const int b : {0, 0x41, 0x80, 0xbe, 0xbf, 0xc3, 0xee, 0xff}) {
      bytes += {static_cast<char>(a), static_cast<char>(b)};
      const std::string three{static_cast<char>(0xee), static_cast<char>(a), static_cast<char>(b)};
      EXPECT_TRUE(is_utf8(utf8_from_bytes(three)));
      EXPECT_EQ(bytes_from_utf8(utf8_from_bytes(three)), three);
    }
  }
  EXPECT_TRUE(is_utf8(utf8_from_bytes(bytes)));
  EXPECT_EQ(bytes_from_utf8(utf8_from_bytes(bytes)), bytes);
}

TEST(Utf8, QuotesAsTomlDoesOnOneLine) {
  EXPECT_EQ(toml_quote("plain \"and\" \\ größe"), R"('plain "and" \ größe')");
  EXPECT_EQ(toml_quote(""), "''");
  EXPECT_EQ(toml_quote("it's"), R"("it's")");
  EXPECT_EQ(toml_quote("a\n\"b\"\\"), R"("a\n\"b\"\\")");
  EXPECT_EQ(toml_quote(std::string("\0\x1f\x7f\xc2\x85", 5)), R"("\u0000\u001f\u007f\u0085")");
  EXPECT_EQ(toml_quote("a\xff"), R"("a\uefff")");
}

TEST(Utf8, ShortensLongTextBetweenCharacters) {
  EXPECT_EQ(quote(std::string(60, 'x')), fmt::format("\"{:x<60}\"", ""));
  EXPECT_EQ(quote(std::string(61, 'x')), fmt::format("\"{:x<60}\"...", ""));
  EXPECT_EQ(quote(fmt::format("{:x<59}éé", "")), fmt::format("\"{:x<59}\"...", ""));
}

}  // namespace
}  // namespace maskgrad
