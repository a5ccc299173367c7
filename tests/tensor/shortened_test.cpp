// Long texts of users in errors.
#include <gtest/gtest.h>

#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

const std::string kX60(60, 'x'), kDots = "...";

TEST(Shortened, LeavesShortTextsAsTheyAre) {
  EXPECT_EQ(shortened(""), "");
  EXPECT_EQ(shortened(kX60), kX60);
  EXPECT_EQ(shortened("\xff\n"), "\xff\n");
}

TEST(Shortened, CutsLongTextsBetweenCharacters) {
  EXPECT_EQ(shortened(kX60 + kX60), kX60 + kDots);
  EXPECT_EQ(shortened(std::string(1 << 20, 'x')), kX60 + kDots);
  for (const std::string character : {"é", "€", "😀"}) {
    for (std::size_t inside = 1; inside < character.size(); ++inside) {
      const std::string head = kX60.substr(0, 60 - inside);
      EXPECT_EQ(shortened(head + character + "x"), head + kDots) << character << ' ' << inside;
    }
    const std::string head = kX60.substr(0, 60 - character.size()) + character;
    EXPECT_EQ(shortened(head + character), head + kDots) << character;
  }
}

TEST(Shortened, CutsBytesThatAreNoCharacters) {
  EXPECT_EQ(shortened(std::string(100, '\x80')), std::string(60, '\x80') + kDots);
  EXPECT_EQ(shortened(std::string(100, '\xff')), std::string(60, '\xff') + kDots);
}

}  // namespace
}  // namespace maskgrad
