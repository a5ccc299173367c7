// The folder of a program of one's own, which the command line has no recipe for.
#include <regex>

#include <maskgrad/maskgrad.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Trains a layer to name the number it is given.
void train_program(const std::filesystem::path& folder, const std::string& name = "namer") {
  SequenceDataset data(1);
  for (std::int64_t i = 0; i < 4; ++i) data.add(std::vector<std::int64_t>{i}, i);
  Sequential layers;
  layers.add<Embed>("embed", 4, 4).add<Reshape>("reshape", std::vector<std::int64_t>{4});
  const auto model = [&](const Batch& batch, Pass& pass) -> ModelOutput {
    return ops::cross_entropy(layers(Variable(batch.inputs), pass), batch.targets);
  };
  TrainingOptions options;
  options.folder = folder;
  options.name = name;
  options.epochs = 2;
  train_in_folder(layers, model, data, options);
}

class RunOfAProgram : public test::CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    train_program(path("r"));
  }
};

TEST_F(RunOfAProgram, IsInspected) {
  const auto result = run({"inspect", "r"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("run of a program, namer\n"), HasSubstr("embed.weight")));
}

TEST_F(RunOfAProgram, IsReportedAloneAndBesideARecipes) {
  const auto alone = run({"report", "r"});
  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_THAT(read("r/report.html"),
              AllOf(HasSubstr("maskgrad: namer"), HasSubstr("embed.weight")));
  ASSERT_EQ(train({"--out", "blog", "--epochs", "1"}).code, 0);
  EXPECT_EQ(run({"report", "r", "blog", "--out", "both.html"}).code, 0);
  EXPECT_THAT(read("both.html"), AllOf(HasSubstr(">r<"), HasSubstr(">blog<")));
}

TEST_F(RunOfAProgram, IsReportedWithTheSettingsItWasTrainedWith) {
  std::string config = read("r/config.toml");
  config.replace(config.find("lr = 0.001"), 10, "lr = 0.002");
  write("r/config.toml", config);
  const auto result = run({"report", "r"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("has changed since the model was trained"));
  EXPECT_THAT(run({"inspect", "r"}).out, HasSubstr("changed since training: lr"));
}

// Only the program has the layers.
TEST_F(RunOfAProgram, IsNotRun) {
  for (const char* command : {"eval", "predict", "check"}) {
    std::vector<std::string> args = {command, "r"};
    if (args[0] == "predict") args.push_back("1");
    expect_error(run(args), 1,
                 "r/config.toml: there is no recipe 'namer'; if a program of its own trained the "
                 "run, only that program can run its model");
  }
}

TEST_F(RunOfAProgram, MayHaveTheNameOfARecipe) {
  train_program(path("b"), "blog");
  EXPECT_THAT(run({"inspect", "b"}).out, HasSubstr("run of a program, blog\n"));
  EXPECT_EQ(run({"report", "b"}).code, 0);
  expect_error(run({"eval", "b"}), 1, "a program of its own called this run 'blog'");
}

TEST_F(RunOfAProgram, IsShownOnOneLineWhateverItsName) {
  train_program(path("b"), "a\x1b[31m\nb");
  EXPECT_THAT(run({"inspect", "b"}).out,
              AllOf(HasSubstr("run of a program, a"), ::testing::Not(HasSubstr("\x1b"))));
}

TEST_F(RunOfAProgram, IsToldFromADamagedRunOfARecipe) {
  ASSERT_EQ(train({"--out", "b", "--epochs", "1"}).code, 0);
  const std::string config = read("b/config.toml");
  write("b/config.toml", std::regex_replace(config, std::regex("mask = .*\n"), ""));
  expect_error(run({"inspect", "b"}), 1, "'mask' is missing");
  write("b/config.toml", std::regex_replace(config, std::regex("'blog'"), "'blgo'"));
  expect_error(run({"inspect", "b"}), 1, "and there is no recipe 'blgo'; did you mean 'blog'?");
}

}  // namespace
}  // namespace maskgrad
