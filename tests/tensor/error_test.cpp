#include <gtest/gtest.h>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad {
namespace {

TEST(Error, IsOneLineWhateverItQuotes) {
  const Error error("file", "cannot open 'a\nb\tc\r\x1b[31m\x7f': no");
  EXPECT_STREQ(error.what(), R"([file] cannot open 'a\nb\tc\r\x1b[31m\x7f': no)");
  EXPECT_EQ(error.name(), "file");
  EXPECT_EQ(error.text(), R"(cannot open 'a\nb\tc\r\x1b[31m\x7f': no)");
}

TEST(Error, KnowsItsPartsWhereTheNameHasLineEndsToo) {
  const Error error("re\nlu\t", "is no operation");
  EXPECT_STREQ(error.what(), R"([re\nlu\t] is no operation)");
  EXPECT_EQ(error.name(), R"(re\nlu\t)");
  EXPECT_EQ(error.text(), "is no operation");
}

TEST(Error, KeepsAllOtherTextAsItIs) {
  const Error error("n", "größe \"x\" \\n \xff");
  EXPECT_EQ(error.text(), "größe \"x\" \\n \xff");
  EXPECT_EQ(Error("n", "").text(), "");
}

}  // namespace
}  // namespace maskgrad
