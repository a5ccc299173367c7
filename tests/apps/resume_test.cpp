// What a run goes on with: its data and its files; and what a finished one remembers.
#include <maskgrad/train/formats/tensor_file.hpp>

#include "apps/resumed_run.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Resume : public test::ResumedRun {};

TEST_F(Resume, SaysThatTheRunIsOfAnotherRecipe) {
  train_two_epochs();
  expect_error(run({"train", "arithmetic", "--out", "r", "--resume"}), 2,
               "train: the run in 'r' is of recipe blog: go on with: maskgrad train blog --out r "
               "--resume\n");
}

TEST_F(Resume, SaysOfARunOfNoRecipeWhatIsWrongWithIt) {
  train_two_epochs();
  edit("recipe = 'blog'", "recipe = 'my_thing'");
  edit("version = 7", "version = 8");
  const auto result = run({"train", "blog", "--out", "r", "--resume"});
  expect_error(result, 2, "has version 8, and this maskgrad reads up to 7");
  EXPECT_THAT(result.err, Not(HasSubstr("my_thing")));
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
  EXPECT_EQ(resume("r", {"--steps", "12"}).err,
            "maskgrad: changed from step 10 on: steps: 9 -> 12\n");
}

TEST_F(Resume, NeedsTheInitialWeightsNoMore) {
  ASSERT_EQ(train({"--out", "a", "--steps", "5"}).code, 0);
  ASSERT_EQ(train({"--out", "r", "--epochs", "1", "--init", "a/model.safetensors"}).code, 0);
  fs::remove_all(path("a"));
  EXPECT_EQ(resume("r", {"--epochs", "2"}).code, 0);
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
  EXPECT_THAT(result.err, HasSubstr(" 2,000 samples, 1 step of 2\n"));
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
  EXPECT_THAT(events, HasSubstr("1 of them says that a run went on"));
}

// A warning of a run that ended before is none of the run that went on.
TEST_F(Resume, LeavesNoResultsOfAnEarlierEnd) {
  ASSERT_EQ(train({"--out", "r", "--steps", "5"}).code, 0);
  EXPECT_FALSE(exists("r/results.json"));
  write("r/results.json", R"({"step": 5, "warnings": ["a gate collapsed"]})");
  ASSERT_EQ(resume("r", {"--steps", "9"}).code, 0);
  EXPECT_EQ(read("r/results.json"), "{\n  \"step\": 9\n}\n");
  EXPECT_THAT(read("r/report.html"), Not(HasSubstr("a gate collapsed")));
}

}  // namespace
}  // namespace maskgrad
