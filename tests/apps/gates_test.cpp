// The recipe gates: each gate trains a little, is saved, and answers.
#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class Gates : public test::CliTest {
 protected:
  test::CliResult train_gates(const std::string& gate, const std::string& out) {
    return run({"train", "gates", "--data", "d", "--gate", gate, "--hidden", "12", "--epochs", "1",
                "--out", out});
  }
};

TEST_F(Gates, OfEveryKindTrainAndAnswer) {
  for (const std::string gate : {"none", "sigmoid", "sigmoid-each", "between", "tanh", "softmax",
                                 "threshold", "highway", "glu"}) {
    const auto trained = train_gates(gate, gate);
    ASSERT_EQ(trained.code, 0) << gate << ": " << trained.err;
    EXPECT_THAT(trained.out, HasSubstr("validation")) << gate;
    EXPECT_EQ(run({"check", gate}).code, 0) << gate;
    EXPECT_THAT(run({"predict", gate, "x=-12,y=24:y-x"}).out, ContainsRegex("^.\n$")) << gate;
  }
}

TEST_F(Gates, AddTheirParametersToTheSameStack) {
  ASSERT_EQ(train_gates("none", "a").code, 0);
  ASSERT_EQ(train_gates("sigmoid", "b").code, 0);
  EXPECT_THAT(run({"inspect", "a"}).out,
              AllOf(HasSubstr("stack.w2"), Not(HasSubstr("stack.gate"))));
  EXPECT_THAT(run({"inspect", "b"}).out,
              AllOf(HasSubstr("stack.w2"), ContainsRegex("stack[.]gate2[.]w +F32 +.12, 1.")));
  const auto report = run({"report", "a", "b", "--out", "both.html"});
  ASSERT_EQ(report.code, 0) << report.err;
  EXPECT_THAT(read("both.html"), HasSubstr("gate"));
}

TEST_F(Gates, OfAnotherNameAreRefused) {
  const auto refused = train_gates("relu", "c");
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.err, HasSubstr("sigmoid-each"));
}

}  // namespace
}  // namespace maskgrad
