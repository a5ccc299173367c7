#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/nearest_name.hpp>

namespace maskgrad {
namespace {

const std::vector<std::string> kKnown = {"relu", "leaky_relu", "softmax", "log_softmax", "exp"};

TEST(DidYouMean, NamesTheNearest) {
  EXPECT_EQ(did_you_mean("rellu", kKnown), "; did you mean 'relu'?");
  EXPECT_EQ(did_you_mean("sofmtax", kKnown), "; did you mean 'softmax'?");
  EXPECT_EQ(did_you_mean("logsoftmax", kKnown), "; did you mean 'log_softmax'?");
  EXPECT_EQ(did_you_mean("expp", kKnown), "; did you mean 'exp'?");
}

TEST(DidYouMean, KeepsSilentWhenNothingIsNear) {
  EXPECT_EQ(did_you_mean("scaled_dot_product_attention", kKnown), "");
  EXPECT_EQ(did_you_mean("gather", kKnown), "");
  EXPECT_EQ(did_you_mean("relu", {}), "");
  EXPECT_EQ(did_you_mean("xy", kKnown), "");  // two changes would turn it into anything
}

TEST(DidYouMean, NamesTheOneThatBeginsSo) {
  const std::vector<std::string> known = {"warmup_steps", "warm", "lr"};
  EXPECT_EQ(did_you_mean("warmup_", known), "; did you mean 'warmup_steps'?");
  EXPECT_EQ(did_you_mean("war", {known.begin(), 1}), "") << "too short to tell";
}

TEST(DidYouMean, AllowsAThirdOfALongNameToDiffer) {
  const std::vector<std::string> known = {"abcdefghijkl"};
  EXPECT_EQ(did_you_mean("abcdefghXXXX", known), "; did you mean 'abcdefghijkl'?");
  EXPECT_EQ(did_you_mean("abcdefgXXXXX", known), "");
}

TEST(DidYouMean, AllowsOneChangeOfAShortName) {
  const std::vector<std::string> known = {"data", "blog"};
  EXPECT_EQ(did_you_mean("math", known), "");
  EXPECT_EQ(did_you_mean("date", known), "; did you mean 'data'?");
  EXPECT_EQ(did_you_mean("blgo", known), "; did you mean 'blog'?");
}

TEST(DidYouMean, CountsInsertionsDeletionsReplacementsAndSwaps) {
  const std::vector<std::string> known = {"axes", "keepdims"};
  EXPECT_EQ(did_you_mean("axis", known), "; did you mean 'axes'?");
  EXPECT_EQ(did_you_mean("keep_dims", known), "; did you mean 'keepdims'?");
  EXPECT_EQ(did_you_mean("kepdim", known), "; did you mean 'keepdims'?");
  EXPECT_EQ(did_you_mean("ekepdims", known), "; did you mean 'keepdims'?");
  EXPECT_EQ(did_you_mean("ekepdism", known), "; did you mean 'keepdims'?");
  EXPECT_EQ(did_you_mean("akepdism", known), "");
}

}  // namespace
}  // namespace maskgrad
