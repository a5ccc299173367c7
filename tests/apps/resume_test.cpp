// What a run goes on with: its settings, its data, its files; and what a finished one remembers.
#include <regex>

#include <fmt/format.h>

#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Resume : public test::CliTest {
 protected:
  test::CliResult resume(const std::string& run_folder, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"train",    "blog",       "--out", run_folder,
                                     "--resume", "--progress", "off"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  // A run of two epochs of 40 steps in `r`.
  void train_two_epochs() { ASSERT_EQ(train({"--out", "r", "--epochs", "2"}).code, 0); }
  void make_data(const std::string& folder, const std::string& samples, const std::string& seed,
                 const std::string& shards = "2") {
    ASSERT_EQ(run({"data", "arithmetic", "--out", folder, "--shards", shards, "--samples", samples,
                   "--seed", seed})
                  .code,
              0);
  }
  // A run of nine steps, whose data lie in its folder.
  void train_beside_its_data(const std::string& folder) {
    make_data(folder + "/shards", "40", "3");
    const auto result = run({"train", "blog", "--out", folder, "--data", folder + "/shards",
                             "--steps", "9", "--progress", "off"});
    ASSERT_EQ(result.code, 0) << result.err;
  }
  // Changes a line of a run's config.toml as a person does.
  void edit(const std::string& from, const std::string& to) {
    const std::string text = read("r/config.toml");
    ASSERT_THAT(text, HasSubstr(from));
    write("r/config.toml", std::regex_replace(text, std::regex(from), to));
  }
  std::string setting(const std::string& key) {
    std::smatch match;
    const std::string text = read("r/config.toml");
    return std::regex_search(text, match, std::regex("(?:^|\n)" + key + " = (\\S+)"))
               ? match[1].str()
               : "none";
  }
};

TEST_F(Resume, SaysThatTheRunIsOfAnotherRecipe) {
  train_two_epochs();
  expect_error(run({"train", "arithmetic", "--out", "r", "--resume"}), 2,
               "train: the run in 'r' is of recipe blog: go on with: maskgrad train blog --out r "
               "--resume\n");
}

TEST_F(Resume, SaysOfARunOfNoRecipeWhatIsWrongWithIt) {
  train_two_epochs();
  edit("recipe = 'blog'", "recipe = 'my_thing'");
  edit("version = 5", "version = 7");
  const auto result = run({"train", "blog", "--out", "r", "--resume"});
  expect_error(result, 2, "has version 7, and this maskgrad reads up to 5");
  EXPECT_THAT(result.err, Not(HasSubstr("my_thing")));
}

TEST_F(Resume, SaysWhichSettingsChangeAndWritesThemWithItsFirstStep) {
  train_two_epochs();
  const std::string config = read("r/config.toml");
  const auto idle = resume("r", {"--lr", "0.5"});
  EXPECT_EQ(idle.code, 0);
  EXPECT_EQ(idle.err, "maskgrad: lr: 0.001 -> 0.5\n");
  EXPECT_EQ(read("r/config.toml"), config) << "there was no step to make";
  EXPECT_EQ(resume("r").err, "") << "and nothing is remembered";

  const auto changed = resume("r", {"--lr", "0.5", "--epochs", "3", "--threads", "2"});
  EXPECT_EQ(changed.code, 0);
  EXPECT_EQ(changed.err,
            "maskgrad: epochs: 2 -> 3\nmaskgrad: lr: 0.001 -> 0.5\nmaskgrad: threads: 1 -> 2\n");
  EXPECT_EQ(setting("lr"), "0.5");
  EXPECT_EQ(setting("epochs"), "3");
  EXPECT_EQ(resume("r").err, "");
}

TEST_F(Resume, ChangesNothingWhereItsFirstStepFails) {
  train_two_epochs();
  const std::string config = read("r/config.toml");
  EXPECT_EQ(resume("r", {"--lr", "1e45", "--epochs", "3"}).code, 1);
  EXPECT_EQ(read("r/config.toml"), config);
}

TEST_F(Resume, ShowsWhatAPersonChangedInTheConfig) {
  train_two_epochs();
  edit("lr = 0.001", "lr = 0.25 ");
  edit("epochs = 2", "epochs = 3");
  const auto result = resume("r");
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "maskgrad: epochs: 2 -> 3\nmaskgrad: lr: 0.001 -> 0.25\n");
  edit("seed = 0", "seed = 1");
  expect_error(resume("r", {"--epochs", "4"}), 2,
               "the run in 'r' has seed = 0: it cannot go on with 1, which 'r/config.toml' says");
}

TEST_F(Resume, SaysThatAScheduleSpansOtherStepsThanBefore) {
  ASSERT_EQ(train({"--out", "r", "--steps", "13", "--schedule", "cosine"}).code, 0);
  EXPECT_THAT(resume("r", {"--steps", "17"}).err,
              HasSubstr("maskgrad: the schedule now spans 17 steps, it was 13\n"));
  EXPECT_THAT(resume("r").err, Not(HasSubstr("spans")));
  ASSERT_EQ(train({"--out", "constant", "--steps", "13"}).code, 0);
  EXPECT_THAT(resume("constant", {"--steps", "17"}).err, Not(HasSubstr("spans")));
}

TEST_F(Resume, ReadsAConfigThatIsOlderThanSomeSettings) {
  train_two_epochs();
  std::string old;
  std::istringstream lines(read("r/config.toml"));
  const std::regex later(
      "(val|val_every|patience|checkpoint_every|micro_batches|schedule|warmup_steps|decay_share|"
      "ema|beta2|"
      "weight_decay) = .*");
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_match(line, later)) old += line + "\n";
  }
  ASSERT_THAT(old, HasSubstr("version = 5"));
  write("r/config.toml", old);
  expect_error(resume("r", {"--epochs", "3"}), 2, "'val' is missing");
  write("r/config.toml", std::regex_replace(old, std::regex("version = 5"), "version = 2"));
  EXPECT_EQ(resume("r", {"--epochs", "3"}).err, "maskgrad: epochs: 2 -> 3\n");
  EXPECT_EQ(setting("schedule"), "'constant'");
  const std::string newest = read("r/config.toml");
  const std::string third =
      std::regex_replace(newest, std::regex("((?:decay_share|beta2) = .*\n)|(version = )5"), "$2");
  write("r/config.toml", std::regex_replace(third, std::regex("version = "), "version = 3"));
  EXPECT_EQ(resume("r", {"--epochs", "4"}).err, "maskgrad: epochs: 3 -> 4\n");
  EXPECT_EQ(setting("decay_share"), "0.1");
}

TEST_F(Resume, RefusesAConfigThatLostSettings) {
  train_two_epochs();
  const std::string text = read("r/config.toml");
  const std::size_t lr = text.find("lr = "), end = text.find('\n', lr);
  write("r/config.toml", text.substr(0, lr) + text.substr(end + 1));
  expect_error(resume("r", {"--epochs", "3"}), 2, "r/config.toml: 'lr' is missing");
  const std::string advice = "the run's checkpoints hold a copy of it";
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

TEST_F(Resume, GoesOnWithOtherDataAtTheEndOfAnEpochOnly) {
  make_data("e", "30", "7");  // 30 steps an epoch
  ASSERT_EQ(train({"--out", "r", "--epochs", "4", "--steps", "50"}).code, 0);
  expect_error(resume("r", {"--data", "e", "--steps", "0"}), 1,
               "train: the run in 'r' was trained on other data: on 80 samples, crc32c ");
  ASSERT_EQ(resume("r", {"--steps", "80"}).code, 0);
  const auto result = resume("r", {"--data", "e", "--steps", "0"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("epoch 3 begins with these\n"));
  EXPECT_THAT(result.err, HasSubstr("/d' -> '"));
  EXPECT_THAT(read("r/epochs.csv"), AllOf(HasSubstr("\n2,80,"), HasSubstr("\n3,110,"),
                                          HasSubstr("\n4,140,"), Not(HasSubstr("\n5,"))));
  EXPECT_EQ(resume("r", {"--epochs", "5"}).code, 0) << "from then on these are its data";
  EXPECT_THAT(read("r/epochs.csv"), HasSubstr("\n5,170,"));
}

// Without an index beside the shards, the run itself must notice.
TEST_F(Resume, NoticesDataThatChangedWhereTheyStand) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "2", "--steps", "50"}).code, 0);
  fs::remove_all(path("d"));
  make_data("d", "40", "9");
  expect_error(resume("r", {"--steps", "0"}), 1,
               "it stands within epoch 2, which needs the former data");
}

TEST_F(Resume, WorksFromAnywhereAndWhereTheFolderWasMovedTo) {
  fs::create_directory(path("elsewhere"));
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  ASSERT_EQ(run({"train", "blog", "--out", "own", "--epochs", "1", "--progress", "off"}).code, 0);
  make_data("inside/shards", "40", "0");
  ASSERT_EQ(run({"train", "blog", "--out", "inside", "--data", "inside/shards", "--epochs", "1",
                 "--init", "r/model.safetensors", "--progress", "off"})
                .code,
            0);
  EXPECT_THAT(read("r/config.toml"), HasSubstr("data = '" + path("d").string() + "'"));
  EXPECT_THAT(read("own/config.toml"), HasSubstr("data = ''"));
  EXPECT_THAT(read("inside/config.toml"), HasSubstr("data = 'shards'"));
  const std::vector<std::string> losses = {run({"eval", "r"}).out, run({"eval", "own"}).out,
                                           run({"eval", "inside"}).out};
  const char* const folders[] = {"r", "own", "inside"};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    EXPECT_THAT(losses[i], HasSubstr("loss "));
    const std::string folder = folders[i];
    fs::rename(path(folder), path("elsewhere/" + folder));
    const test::CliOptions from = {.folder = "elsewhere"};
    EXPECT_EQ(run({"eval", folder}, from).out, losses[i]);
    EXPECT_EQ(run({"eval", "../elsewhere/" + folder}, from).out, losses[i]);
    EXPECT_EQ(
        run({"train", "blog", "--out", folder, "--resume", "--epochs", "2", "--progress", "off"},
            from)
            .code,
        0);
    EXPECT_EQ(run({"report", folder}, from).err, "");
  }
}

TEST_F(Resume, NamesTheConfigWhereAnEditedPathLeadsNowhere) {
  train_two_epochs();
  std::string config = read("r/config.toml");
  const std::size_t data = config.find("/", config.find("\ndata = "));
  write("r/config.toml", config.insert(data, "/none"));
  expect_error(run({"train", "blog", "--out", "r", "--resume", "--epochs", "3"}), 1,
               "the path stands in 'r/config.toml', and --data overrides it");
}

TEST_F(Resume, NamesTheConfigWhereItsDataAreGone) {
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

TEST_F(Resume, IsNoSilentStartWhereTheCheckpointsAreGone) {
  train_two_epochs();
  fs::remove_all(path("r/checkpoints"));
  const std::string config = read("r/config.toml"), model = read("r/model.safetensors");
  expect_error(
      resume("r", {"--epochs", "3"}), 1,
      "'r/checkpoints' holds none of the checkpoints that the run saved: put them back, or "
      "begin the run anew with --force");
  EXPECT_EQ(read("r/config.toml"), config);
  EXPECT_TRUE(read("r/model.safetensors") == model);
}

TEST_F(Resume, TakesTheCheckpointBeforeADamagedOneWithAWord) {
  ASSERT_EQ(train({"--out", "whole", "--epochs", "3"}).code, 0);
  train_two_epochs();
  const std::string newest = "r/checkpoints/step_000000000080.safetensors";
  std::string bytes = read(newest);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write(newest, bytes);
  const auto result = resume("r", {"--epochs", "3"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("'" + newest + "'"));
  EXPECT_THAT(result.err, HasSubstr("taking the checkpoint before it"));
  EXPECT_TRUE(read("r/model.safetensors") == read("whole/model.safetensors"))
      << "as if nothing had been";
}

TEST_F(Resume, FindsADamagedTableOrLogBeforeItTrains) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "2", "--step-log", "steps.csv"}).code, 0);
  const auto result = [&] { return resume("r", {"--epochs", "3", "--step-log", "steps.csv"}); };
  for (const std::string file : {"r/epochs.csv", "steps.csv"}) {
    const std::string text = read(file);
    std::string flipped = text;
    flipped[text.rfind('4')] = '5';
    write(file, flipped);
    const auto refused = result();
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, AllOf(HasSubstr("'" + file + "'"), Not(HasSubstr("go on with:"))));
    EXPECT_FALSE(exists("r/checkpoints/step_000000000120.safetensors"));
    write(file, text);
  }
  EXPECT_EQ(result().code, 0);
}

TEST_F(Resume, IsSilentAboutInitialWeightsWhereverTheyLie) {
  ASSERT_EQ(train({"--out", "a", "--steps", "5"}).code, 0);
  fs::create_directory(path("b"));
  fs::copy(path("a/model.safetensors"), path("b/weights.safetensors"));
  EXPECT_EQ(train({"--out", "r", "--steps", "9", "--init", "a/model.safetensors"}).err, "");
  EXPECT_EQ(
      train({"--out", "s", "--steps", "9", "--init", path("b/weights.safetensors").string()}).err,
      "");
  EXPECT_TRUE(read("r/model.safetensors") == read("s/model.safetensors")) << "the runs are equal";
  EXPECT_EQ(run({"eval", "r"}).err, "");
  EXPECT_EQ(resume("r", {"--steps", "12"}).err, "maskgrad: steps: 9 -> 12\n");
}

TEST_F(Resume, NeedsTheInitialWeightsNoMore) {
  ASSERT_EQ(train({"--out", "a", "--steps", "5"}).code, 0);
  ASSERT_EQ(train({"--out", "r", "--epochs", "1", "--init", "a/model.safetensors"}).code, 0);
  fs::remove_all(path("a"));
  EXPECT_EQ(resume("r", {"--epochs", "2"}).code, 0);
}

TEST_F(Resume, ATrainedModelKeepsItsSettingsWhateverTheConfigSays) {
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

TEST_F(Resume, RepeatsARunFromTheConfigOfOneThatWasMoved) {
  train_beside_its_data("a");
  fs::create_directory(path("x"));
  fs::rename(path("a"), path("x/a"));
  ASSERT_EQ(
      run({"train", "blog", "--config", "x/a/config.toml", "--out", "b", "--progress", "off"}).code,
      0);
  EXPECT_TRUE(read("x/a/model.safetensors") == read("b/model.safetensors"));
}

// The file's paths are meant from its folder, and the run's own are not touched.
TEST_F(Resume, TakesASettingFromTheConfigOfAnotherFolder) {
  train_beside_its_data("r");
  fs::create_directory(path("x"));
  write("x/part.toml", "version = 2\nlr = 0.5\nsteps = 12\n");
  EXPECT_EQ(resume("r", {"--config", "x/part.toml"}).err,
            "maskgrad: steps: 9 -> 12\nmaskgrad: lr: 0.001 -> 0.5\n");
  fs::rename(path("r/shards"), path("x/shards"));
  write("x/part.toml", "version = 2\nsteps = 15\ndata = 'shards'\n");
  const auto moved = resume("r", {"--config", "x/part.toml"});
  EXPECT_EQ(moved.code, 0);
  EXPECT_THAT(moved.err, HasSubstr("data: 'shards' -> '" + path("x/shards").string() + "'\n"));
}

TEST_F(Resume, TrainsOnAllShardsThereAre) {
  make_data("ten", "8", "1", "10");
  make_data("one", "80", "1", "1");
  for (const std::string data : {"ten", "one"}) {
    const auto result =
        run({"train", "blog", "--data", data, "--out", "of_" + data, "--epochs", "1"});
    EXPECT_EQ(result.code, 0);
    EXPECT_THAT(result.err, HasSubstr("parameters, 80 samples, 40 steps of 2\n"));
  }
  EXPECT_TRUE(load_tensors(path("of_ten/model.safetensors")).at("dbd.bias").values<float>()[3] ==
              load_tensors(path("of_one/model.safetensors")).at("dbd.bias").values<float>()[3])
      << "the same samples, cut otherwise";
  EXPECT_THAT(
      run({"train", "blog", "--data", "ten", "--shards", "3", "--out", "three", "--steps", "1"})
          .err,
      HasSubstr("24 samples"));
  // A held-out set counts whole, whatever the run was trained on.
  EXPECT_THAT(run({"eval", "three", "--data", "ten"}).out, HasSubstr("samples    80\n"));
  EXPECT_THAT(run({"eval", "three"}).out, HasSubstr("samples    24\n"));
  EXPECT_EQ(run({"check", "three", "--data", "one", "--elements", "2"}).code, 0);
}

TEST_F(Resume, MakesTheArticlesTwoShardsWithoutData) {
  const auto result = run({"train", "blog", "--out", "own", "--steps", "1"});
  EXPECT_THAT(result.err, HasSubstr(" 2,000 samples, 1 steps of 2\n"));
  EXPECT_TRUE(exists("own/data/shard_0001.tfrecords"));
  EXPECT_FALSE(exists("own/data/shard_0002.tfrecords"));
}

TEST_F(Resume, AReportSaysWhyItHasNoPictureOfMasks) {
  train_two_epochs();
  fs::remove_all(path("d"));
  const auto result = run({"report", "r"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err,
              HasSubstr("maskgrad: report: 'r': its masks are not drawn: data: there is "
                        "no file or folder '"));
  EXPECT_THAT(read("r/report.html").find("its masks are not drawn") != std::string::npos, true);
}

// A point within an epoch, of the run that ended there, is done again by the one that goes on.
TEST_F(Resume, TakesBackThePointOfARunThatEndedWithinAnEpoch) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "2", "--steps", "50"}).code, 0);
  ASSERT_EQ(resume("r", {"--steps", "0"}).code, 0);
  std::string events;
  for (const auto& entry : fs::directory_iterator(path("r/logs"))) {
    events += run({"inspect", entry.path().string()}).out;
  }
  EXPECT_THAT(events, HasSubstr("epoch/loss"));
  EXPECT_THAT(events, HasSubstr("say that a run went on"));
}

}  // namespace
}  // namespace maskgrad
