// What a run that goes on does with its settings and its config.toml.
#include "apps/resumed_run.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class ResumeConfig : public test::ResumedRun {};

TEST_F(ResumeConfig, SaysWhichSettingsChangeAndWritesThemWithItsFirstStep) {
  train_two_epochs();
  const std::string config = read("r/config.toml");
  const auto idle = resume("r", {"--lr", "0.5"});
  EXPECT_EQ(idle.code, 0);
  EXPECT_EQ(idle.err, "maskgrad: not changed, as the run has no step left: lr: 0.001 -> 0.5\n");
  EXPECT_EQ(read("r/config.toml"), config) << "there was no step to make";
  EXPECT_EQ(resume("r").err, "") << "and nothing is remembered";

  const auto changed = resume("r", {"--lr", "0.5", "--epochs", "3", "--threads", "2"});
  EXPECT_EQ(changed.code, 0);
  EXPECT_EQ(changed.err,
            "maskgrad: changed from step 81 on: epochs: 2 -> 3\n"
            "maskgrad: changed from step 81 on: lr: 0.001 -> 0.5\n"
            "maskgrad: changed from step 81 on: threads: 1 -> 2\n");
  EXPECT_EQ(setting("lr"), "0.5");
  EXPECT_EQ(setting("epochs"), "3");
  EXPECT_EQ(resume("r").err, "");
}

TEST_F(ResumeConfig, ChangesNothingWhereItsFirstStepFails) {
  train_two_epochs();
  const std::string config = read("r/config.toml");
  EXPECT_EQ(resume("r", {"--lr", "1e45", "--epochs", "3"}).code, 1);
  EXPECT_EQ(read("r/config.toml"), config);
}

TEST_F(ResumeConfig, ShowsWhatAPersonChangedInTheConfig) {
  train_two_epochs();
  edit("lr = 0.001", "lr = 0.25 ");
  edit("epochs = 2", "epochs = 3");
  const auto result = resume("r");
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err,
            "maskgrad: changed from step 81 on: epochs: 2 -> 3\n"
            "maskgrad: changed from step 81 on: lr: 0.001 -> 0.25\n");
  edit("seed = 0", "seed = 1");
  expect_error(resume("r", {"--epochs", "4"}), 2,
               "the run in 'r' has seed = 0: it cannot go on with 1, which 'r/config.toml' says");
}

TEST_F(ResumeConfig, SaysThatAScheduleSpansOtherStepsThanBefore) {
  ASSERT_EQ(train({"--out", "r", "--steps", "13", "--schedule", "cosine"}).code, 0);
  EXPECT_THAT(resume("r", {"--steps", "17"}).err,
              HasSubstr("maskgrad: the schedule now spans 17 steps, it was 13\n"));
  EXPECT_THAT(resume("r").err, Not(HasSubstr("spans")));
  ASSERT_EQ(train({"--out", "constant", "--steps", "13"}).code, 0);
  EXPECT_THAT(resume("constant", {"--steps", "17"}).err, Not(HasSubstr("spans")));
}

TEST_F(ResumeConfig, ReadsAConfigThatIsOlderThanSomeSettings) {
  train_two_epochs();
  std::string old;
  std::istringstream lines(read("r/config.toml"));
  const std::regex later(
      "(val|val_every|patience|checkpoint_every|micro_batches|schedule|warmup_steps|decay_share|"
      "ema|beta2|"
      "weight_decay|val_share|math) = .*");
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_match(line, later)) old += line + "\n";
  }
  ASSERT_THAT(old, HasSubstr("version = 7"));
  write("r/config.toml", old);
  expect_error(resume("r", {"--epochs", "3"}), 2, "'val' is missing");
  write("r/config.toml", std::regex_replace(old, std::regex("version = 7"), "version = 2"));
  EXPECT_EQ(resume("r", {"--epochs", "3"}).err,
            "maskgrad: changed from step 81 on: epochs: 2 -> 3\n");
  EXPECT_EQ(setting("schedule"), "'constant'");
  const std::string newest = read("r/config.toml");
  const std::string third = std::regex_replace(
      newest, std::regex("((?:decay_share|beta2|val_share|math) = .*\n)|(version = )7"), "$2");
  write("r/config.toml", std::regex_replace(third, std::regex("version = "), "version = 3"));
  EXPECT_EQ(resume("r", {"--epochs", "4"}).err,
            "maskgrad: changed from step 121 on: epochs: 3 -> 4\n");
  EXPECT_EQ(setting("decay_share"), "0.1");
}

TEST_F(ResumeConfig, RefusesAConfigThatLostSettings) {
  train_two_epochs();
  const std::string text = read("r/config.toml");
  const std::size_t lr = text.find("lr = "), end = text.find('\n', lr);
  write("r/config.toml", text.substr(0, lr) + text.substr(end + 1));
  expect_error(resume("r", {"--epochs", "3"}), 2, "r/config.toml: 'lr' is missing");
  const std::string advice = "each checkpoint of the run holds a copy of it";
  for (const std::string& cut : {text.substr(0, lr + 20), std::string()}) {
    write("r/config.toml", cut);
    expect_error(resume("r", {"--epochs", "3"}), 2, advice);
  }
  expect_error(run({"eval", "r"}), 1, advice);
  // The copy is shown as it was, indented.
  const std::string shown =
      run({"inspect", "r/checkpoints/step_000000000080.safetensors"}).out + "\n";
  const std::string mark = "note.settings:\n";
  ASSERT_THAT(shown, HasSubstr(mark));
  std::string copy;
  for (std::size_t at = shown.find(mark) + mark.size(); shown.substr(at, 2) == "  ";) {
    const std::size_t line_end = shown.find('\n', at) + 1;
    copy += shown.substr(at + 2, line_end - at - 2);
    at = line_end;
  }
  EXPECT_EQ(copy, text);
  write("r/config.toml", copy);
  EXPECT_EQ(resume("r", {"--epochs", "3"}).code, 0);
}

TEST_F(ResumeConfig, NamesTheConfigWhereAnEditedPathLeadsNowhere) {
  train_two_epochs();
  std::string config = read("r/config.toml");
  const std::size_t data = config.find("/", config.find("\ndata = "));
  write("r/config.toml", config.insert(data, "/none"));
  expect_error(run({"train", "blog", "--out", "r", "--resume", "--epochs", "3"}), 1,
               "the path stands in 'r/config.toml', and --data overrides it");
}

TEST_F(ResumeConfig, NamesTheConfigWhereItsDataAreGone) {
  train_two_epochs();
  ASSERT_EQ(run({"train", "blog", "--out", "own", "--epochs", "1", "--progress", "off"}).code, 0);
  fs::rename(path("d"), path("moved"));
  fs::remove_all(path("own/data"));
  const std::string text = "the path stands in 'r/config.toml', and --data overrides it";
  expect_error(resume("r", {"--epochs", "3"}), 1, text);
  expect_error(run({"check", "r"}), 1, text);
  expect_error(run({"eval", "own"}), 1, "'own/data', which the run made, is gone: --data names");
  const auto moved = resume("r", {"--epochs", "3", "--data", "moved"});
  EXPECT_EQ(moved.code, 0);
  EXPECT_THAT(moved.err, Not(HasSubstr("others"))) << "they are the same data";
}

TEST_F(ResumeConfig, ATrainedModelKeepsItsSettingsWhateverTheConfigSays) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "2", "--mask", "query"}).code, 0);
  const std::string loss = run({"eval", "r"}).out,
                    answer = run({"predict", "r", "x=1,y=2:x+y"}).out;
  edit("mask = 'query'", "mask = 'key'  ");
  const auto eval = run({"eval", "r"});
  EXPECT_EQ(eval.out, loss);
  EXPECT_EQ(eval.err,
            "maskgrad: 'r/config.toml' has changed since the model was trained, which "
            "keeps its settings: mask: 'query' -> 'key'\n");
  EXPECT_EQ(run({"predict", "r", "x=1,y=2:x+y"}).out, answer);
}

TEST_F(ResumeConfig, RepeatsARunFromTheConfigOfOneThatWasMoved) {
  train_beside_its_data("a");
  fs::create_directory(path("x"));
  fs::rename(path("a"), path("x/a"));
  ASSERT_EQ(
      run({"train", "blog", "--config", "x/a/config.toml", "--out", "b", "--progress", "off"}).code,
      0);
  EXPECT_TRUE(read("x/a/model.safetensors") == read("b/model.safetensors"));
}

// The file's paths are meant from its folder, and the run's own are not touched.
TEST_F(ResumeConfig, TakesASettingFromTheConfigOfAnotherFolder) {
  train_beside_its_data("r");
  fs::create_directory(path("x"));
  write("x/part.toml", "version = 2\nlr = 0.5\nsteps = 12\n");
  EXPECT_EQ(resume("r", {"--config", "x/part.toml"}).err,
            "maskgrad: changed from step 10 on: steps: 9 -> 12\n"
            "maskgrad: changed from step 10 on: lr: 0.001 -> 0.5\n");
  fs::rename(path("r/shards"), path("x/shards"));
  write("x/part.toml", "version = 2\nsteps = 15\ndata = 'shards'\n");
  const auto moved = resume("r", {"--config", "x/part.toml"});
  EXPECT_EQ(moved.code, 0);
  EXPECT_THAT(moved.err, HasSubstr("data: 'shards' -> '" + path("x/shards").string() + "'\n"));
}

}  // namespace
}  // namespace maskgrad
