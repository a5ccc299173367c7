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

// By trying what may follow: the ends of all ranges of bytes that do.
bool may_begin_a_character(const std::string& text, std::size_t more = 3) {
  if (text.size() > 4) return false;
  if (more == 0) return false;
  for (const int byte : {0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf}) {
    const std::string longer = text + static_cast<char>(byte);
    const bool is_one = is_utf8(longer) && utf8_prefix(longer.substr(0, longer.size() - 1)) == 0;
    if (is_one || (!is_utf8(longer) && may_begin_a_character(longer, more - 1))) return true;
  }
  return false;
}

TEST(Utf8, TellsHowMuchOfACharacterMayHaveCome) {
  EXPECT_EQ(unfinished_character(""), 0U);
  EXPECT_EQ(unfinished_character("abc"), 0U);
  EXPECT_EQ(unfinished_character("é"), 0U);
  EXPECT_EQ(unfinished_character("\U0001f600"), 0U);
  EXPECT_EQ(unfinished_character("é\xc3"), 1U);
  EXPECT_EQ(unfinished_character("é\xf0\x9f\x98"), 3U);
  for (int a = 0x7f; a < 256; ++a) {
    const std::string one(1, static_cast<char>(a));
    EXPECT_EQ(unfinished_character("x" + one), may_begin_a_character(one) ? 1U : 0U) << a;
    for (const int b : {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc3, 0xff}) {
      const std::string two = one + static_cast<char>(b), last = two.substr(1);
      const std::size_t want = may_begin_a_character(two) ? 2 : may_begin_a_character(last) ? 1 : 0;
      EXPECT_EQ(unfinished_character("x" + two), want) << a << ' ' << b;
    }
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
