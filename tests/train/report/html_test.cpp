#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/train/report/html.hpp>

namespace maskgrad {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Html, EscapesWhatMarkupWouldRead) {
  EXPECT_EQ(escape_html("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  EXPECT_EQ(escape_html("é–\n"), "é–\n");
  EXPECT_EQ(escape_html(std::string_view("\0\x7f\xc3(", 4)), "\uFFFD\uFFFD\uFFFD(");
}

TEST(Html, ShortensByCharactersNotBytes) {
  EXPECT_EQ(shorten("äöü", 3), "äöü");
  EXPECT_EQ(shorten("äöüß", 3), "äö…");
}

TEST(Html, WritesNumbersForPeople) {
  EXPECT_EQ(format_number(1.73731), "1.7373");
  EXPECT_EQ(format_number(-2.5e-7), "-2.500e-07");
  EXPECT_EQ(format_number(-0.0), "0.0000");
  EXPECT_EQ(format_number(kNan), "nan");
  EXPECT_EQ(format_difference(0.0031), "+0.0031");
  EXPECT_EQ(format_difference(-1e-9), "-1.0e-09");
  EXPECT_EQ(format_difference(0), "0.0000");
}

}  // namespace
}  // namespace maskgrad
