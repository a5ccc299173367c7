// maskgrad check: gradients, leaks and the proof for a trained run.
#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class Check : public test::CliTest {
 protected:
  void train_with(const std::string& mask) {
    ASSERT_EQ(train({"--out", mask, "--epochs", "1", "--mask", mask}).code, 0);
  }
};

TEST_F(Check, HoldsForARunWhoseMaskIsAppliedToKeys) {
  train_with("key");
  const auto result = run({"check", "key"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out,
              MatchesRegex("gradients  holds  [0-9]+ elements compared, .*\n"
                           "leaks      holds  [0-9]+ operations, [0-9]+ masked elements\n"
                           "proof      holds  [0-9]+ operations, 1 result, 8 gradients: no masked "
                           "place can reach a kept one\n"));
}

TEST_F(Check, FindsThatTheQueryMaskLetsPaddingIntoEveryAverage) {
  for (const char* mask : {"query", "none"}) {
    train_with(mask);
    const auto result = run({"check", mask});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.err, "");
    EXPECT_THAT(result.out, HasSubstr("gradients  holds"));
    EXPECT_THAT(result.out, HasSubstr("leaks      FAILS"));
    EXPECT_THAT(result.out,
                HasSubstr("self_attention in layer 'reflect' reads masked places: element "));
    EXPECT_THAT(result.out, HasSubstr("proof      FAILS"));
    EXPECT_THAT(result.out, HasSubstr("(4, 20, 15) is masked, from embedding\n"));
    EXPECT_THAT(result.out, HasSubstr("masked places take part in everything that self_attention "
                                      "in layer 'reflect' gives\n"));
  }
}

TEST_F(Check, ClaimsNothingOfMasksWhereNothingIsMasked) {
  std::filesystem::create_directory(path("t"));
  std::string text;
  for (int i = 0; i < 40; ++i) text += "one two three\n";
  write("t/a", text);
  ASSERT_EQ(run({"train", "text", "--data", "t", "--out", "text", "--features", "8", "--layers",
                 "1", "--heads", "2", "--context", "16", "--minutes", "0", "--steps", "3"})
                .code,
            0);
  const auto result = run({"check", "text"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out,
              MatchesRegex("gradients  holds  .*\n"
                           "leaks      --     nothing is masked here, in [0-9]+ operations\n"
                           "proof      --     nothing is masked here, in [0-9]+ operations\n"
                           "causality  holds  .*\n"
                           "targets    holds  .*\n"));
}

TEST_F(Check, RefusesWhatItCannotCheck) {
  expect_error(run({"check", "none"}), 1, "'none' is no run folder: it has no config.toml");
  train_with("key");
  expect_error(run({"check", "key", "--samples", "0"}), 2, "--samples must be at least 1, not 0");
  expect_error(run({"check", "key", "--elements", "0"}), 2, "--elements must be at least 1, not 0");
  expect_error(run({"check", "key", "--data", "nowhere"}), 1, "nowhere");
}

}  // namespace
}  // namespace maskgrad
