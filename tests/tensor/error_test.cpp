#include <gtest/gtest.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "support/errors.hpp"

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

TEST(Error, NamesTheLayerAtWork) {
  const Scope model(""), block("block3");
  {
    const Scope dense("dense");
    const Error error("linear", "got (2,)");
    EXPECT_STREQ(error.what(), "[linear] in layer 'block3.dense': got (2,)");
    EXPECT_EQ(error.name(), "linear");
    EXPECT_EQ(error.text(), "in layer 'block3.dense': got (2,)");
  }
  EXPECT_STREQ(Error("add", "").what(), "[add] in layer 'block3': ");
  const Scope nowhere("", Scope::kAlone);
  EXPECT_STREQ(Error("add", "no").what(), "[add] no");
}

TEST(Error, NamesTheInnermostLayerOnceWhereItIsQuoted) {
  const Scope outer("outer");
  const std::string error = test::error_of([] {
    try {
      const Scope inner("inner");
      fail("add", "no");
    } catch (const Error& inner) {
      fail("twice", "cannot: {}", inner.what());
    }
  });
  EXPECT_EQ(error, "[twice] cannot: [add] in layer 'outer.inner': no");
}

TEST(Error, IsOneLineWhateverALayerIsCalled) {
  const Scope strange("a\nb");
  EXPECT_STREQ(Error("add", "no").what(), R"([add] in layer 'a\nb': no)");
}

struct OwnError : Error {
  using Error::Error;
};

TEST(Error, IsToldLaterWhichLayerItBelongsToAndKeepsItsType) {
  const auto told = [] {
    try {
      throw OwnError("add", "no");
    } catch (Error& error) {
      const Scope layer("dense");
      error.name_layer();
      error.name_layer();
      throw;
    }
  };
  EXPECT_THROW(told(), OwnError);
  EXPECT_EQ(test::error_of(told), "[add] in layer 'dense': no");
}

}  // namespace
}  // namespace maskgrad
