#include <thread>

#include <gtest/gtest.h>

#include <maskgrad/tensor/scope.hpp>

namespace maskgrad {
namespace {

TEST(Scope, NamesWhereAThreadIsOutermostFirst) {
  EXPECT_EQ(Scope::path(), "");
  {
    const Scope model(""), block("block0");
    EXPECT_EQ(Scope::path(), "block0");
    {
      const Scope attention("attention");
      EXPECT_EQ(Scope::path(), "block0.attention");
    }
    const Scope dense("dense");
    EXPECT_EQ(Scope::path(), "block0.dense");
  }
  EXPECT_EQ(Scope::path(), "");
}

TEST(Scope, BelongsToItsThread) {
  const Scope here("here");
  std::string there = "unset";
  std::thread([&] { there = Scope::path(); }).join();
  EXPECT_EQ(there, "");
}

}  // namespace
}  // namespace maskgrad
