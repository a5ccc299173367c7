// Runs that look at other data than those that they learn from.
#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Validation : public test::CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    ASSERT_EQ(
        run({"data", "arithmetic", "--out", "v", "--shards", "1", "--samples", "30", "--seed", "5"})
            .code,
        0);
  }
};

TEST_F(Validation, KeepsTheBestWeightsBesideTheLast) {
  const auto result = run({"train", "blog", "--data", "d", "--out", "r", "--epochs", "3", "--val",
                           "v", "--val-every", "16", "--progress", "lines"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("validation after step 16  loss "),
                    HasSubstr("validation after step 112  loss "),
                    HasSubstr("validation after step 120  loss "), HasSubstr("the best")));
  ASSERT_EQ(train({"--out", "plain", "--epochs", "3"}).code, 0);
  EXPECT_TRUE(read("r/model.safetensors").size() > 0);
  EXPECT_EQ(run({"eval", "r", "--data", "v"}).out, run({"eval", "plain", "--data", "v"}).out)
      << "it changes nothing else";
  EXPECT_THAT(run({"inspect", "r/best.safetensors"}).out, HasSubstr("dbd.bias"));
  EXPECT_EQ(train({"--out", "on", "--steps", "1", "--init", "r/best.safetensors"}).code, 0);
  ASSERT_EQ(train({"--out", "r", "--steps", "1", "--force"}).code, 0);
  EXPECT_FALSE(exists("r/best.safetensors")) << "it belonged to the run before";
}

TEST_F(Validation, StopsWhenNothingGetsBetter) {
  const std::vector<std::string> idle = {"--out", "r",          "--val", "v",    "--val-every",
                                         "5",     "--patience", "2",     "--lr", "0"};
  ASSERT_EQ(train(idle).code, 0);
  EXPECT_TRUE(exists("r/checkpoints/step_000000000015.safetensors")) << "the first, and two more";
  EXPECT_TRUE(exists("r/model.safetensors"));
  ASSERT_EQ(run({"train", "blog", "--out", "r", "--resume", "--progress", "off"}).code, 0);
  EXPECT_FALSE(exists("r/checkpoints/step_000000000016.safetensors"));
  ASSERT_EQ(
      run({"train", "blog", "--out", "r", "--resume", "--patience", "3", "--progress", "off"}).code,
      0);
  EXPECT_TRUE(exists("r/checkpoints/step_000000000020.safetensors"));
}

TEST_F(Validation, NeedsData) {
  expect_error(train({"--out", "r", "--patience", "2"}), 2, "train: --patience needs --val");
  expect_error(train({"--out", "r", "--val-every", "2"}), 2, "train: --val-every needs --val");
  expect_error(train({"--out", "r", "--val", "none"}), 1, "'none'");
  EXPECT_FALSE(exists("r"));
}

TEST_F(Validation, HasAPathThatIsMeantFromAnywhere) {
  ASSERT_EQ(train({"--out", "r", "--steps", "3", "--val", "v"}).code, 0);
  EXPECT_THAT(read("r/config.toml"), HasSubstr("val = '" + path("v").string() + "'"));
  EXPECT_THAT(run({"train", "blog", "--out", "r", "--resume", "--steps", "5"}).err,
              HasSubstr("validation after step 5"));
}

}  // namespace
}  // namespace maskgrad
