#include <memory>
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

TEST(Scope, NamesThoseThatLiveWhateverOrderTheyEndIn) {
  auto outer = std::make_unique<Scope>("outer"), middle = std::make_unique<Scope>("middle"),
       inner = std::make_unique<Scope>("inner");
  middle.reset();
  EXPECT_EQ(Scope::path(), "outer.inner");
  outer.reset();
  EXPECT_EQ(Scope::path(), "inner");
  {
    const Scope later("later");
    EXPECT_EQ(Scope::path(), "inner.later");
    inner.reset();
    EXPECT_EQ(Scope::path(), "later");
  }
  EXPECT_EQ(Scope::path(), "");
}

TEST(Scope, BeginsThePathWhereItStandsAlone) {
  const Scope outer("outer");
  {
    const Scope alone("model.block0", Scope::kAlone), layer("layer");
    EXPECT_EQ(Scope::path(), "model.block0.layer");
    const PoolVector<char> path = Scope::path_in_pool("use");
    EXPECT_EQ(std::string(path.begin(), path.end()), "model.block0.layer.use");
    const Scope nowhere("", Scope::kAlone);
    EXPECT_EQ(Scope::path(), "");
  }
  EXPECT_EQ(Scope::path(), "outer");
}

TEST(Scope, BelongsToItsThread) {
  const Scope here("here");
  std::string there = "unset";
  std::thread([&] { there = Scope::path(); }).join();
  EXPECT_EQ(there, "");
}

}  // namespace
}  // namespace maskgrad
