// Runs that cannot begin, or must end: one line, an exit code, and nothing half-written.
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using TrainRefusals = test::CliTest;

TEST_F(TrainRefusals, MoreThreadsThanTheSystemStartsAreRefusedInOneLine) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs all the memory";
#endif
  expect_error(train({"--out", "r", "--threads", "1000"}, {.memory_limit = std::size_t{2} << 30}),
               1, "threads: cannot start 1000 threads: ");
  EXPECT_FALSE(exists("r"));
}

TEST_F(TrainRefusals, MicroBatchesWithoutASampleAreRefused) {
  expect_error(train({"--out", "r", "--batch-size", "4", "--micro-batches", "5"}), 2,
               "train: micro_batches is 5, and a batch has no more than 4 samples");
  EXPECT_FALSE(exists("r"));
  EXPECT_EQ(train({"--out", "r", "--batch-size", "4", "--micro-batches", "4", "--steps", "1"}).code,
            0);
}

TEST_F(TrainRefusals, AnExistingRunIsKept) {
  ASSERT_EQ(train({"--out", "r", "--steps", "2"}).code, 0);
  const std::string model = read("r/model.safetensors"), config = read("r/config.toml");
  expect_error(train({"--out", "r", "--seed", "1"}), 2,
               "'r' holds a run already: --resume goes on with it, --force replaces it");
  expect_error(train({"--out", "r", "--force", "--resume"}), 2, "contradict each other");
  EXPECT_EQ(read("r/model.safetensors"), model);
  EXPECT_EQ(read("r/config.toml"), config);
}

TEST_F(TrainRefusals, ForceReplacesARunsFilesAndNoOthers) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  write("r/notes.txt", "mine");
  write("r/logs/notes.txt", "mine");
  const std::string model = read("r/model.safetensors");
  ASSERT_EQ(
      train({"--out", "r", "--steps", "2", "--seed", "1", "--force", "--no-tensorboard"}).code, 0);
  EXPECT_EQ(read("r/notes.txt"), "mine");
  EXPECT_EQ(read("r/logs/notes.txt"), "mine");
  EXPECT_NE(read("r/model.safetensors"), model);
  EXPECT_FALSE(exists("r/checkpoints/step_000000000040.safetensors"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path("r/logs")), {}), 1)
      << "the old run's events are gone";
}

TEST_F(TrainRefusals, FilesThatARunWouldOverwriteAreKept) {
  std::filesystem::create_directories(path("r/data"));
  write("r/data/shard_0000.tfrecords", "mine");
  expect_error(run({"train", "blog", "--out", "r"}), 2, "there is a 'r/data' already");
  EXPECT_EQ(read("r/data/shard_0000.tfrecords"), "mine");
  write("model.safetensors", "mine");
  expect_error(train({"--out", "."}), 2, "there is a './model.safetensors' already");
  EXPECT_EQ(read("model.safetensors"), "mine");
}

TEST_F(TrainRefusals, WeightsOfAnotherModelAreListed) {
  save_tensors(path("w.safetensors"), {{"embed.weight", Tensor::zeros({3, 3}, DType::kFloat32)},
                                       {"other\n", Tensor::zeros({2}, DType::kFloat32)}});
  for (const bool own_data : {false, true}) {
    const std::vector<std::string> init = {"--init", "w.safetensors", "--out", "new/r"};
    auto args = init;
    args.insert(args.begin(), {"train", "blog"});
    const auto result = own_data ? run(args) : train(init);
    expect_error(
        result, 1,
        "'w.safetensors' does not fit the model: embed.weight is (3, 3), the "
        "model's is (20, 15); reflect.q (15, 15) is missing; reflect.k (15, 15) is missing; "
        "and 6 more");
    EXPECT_FALSE(exists("new"));
  }
}

TEST_F(TrainRefusals, DamagedShardsAreNamed) {
  std::filesystem::remove(path("d/shards.json"));  // which would notice the size first
  const std::string whole = read("d/shard_0001.tfrecords");
  std::string flipped = whole;
  flipped[100] = static_cast<char>(flipped[100] ^ 4);
  write("d/shard_0001.tfrecords", flipped);
  expect_error(train({"--out", "r"}), 1, "tfrecord: 'd/shard_0001.tfrecords': record 1 at byte 7");
  for (const std::size_t size : {whole.size() - 1, whole.size() - 70}) {
    write("d/shard_0001.tfrecords", whole.substr(0, size));
    expect_error(train({"--out", "r"}), 1, "tfrecord: 'd/shard_0001.tfrecords': record 3");
  }
  EXPECT_FALSE(exists("r"));
}

TEST_F(TrainRefusals, FoldersWithoutDataAreNamed) {
  std::filesystem::create_directory(path("empty"));
  expect_error(train({"--data", "none", "--out", "r"}), 1, "cannot read folder 'none'");
  expect_error(train({"--data", "empty", "--out", "r"}), 1, "'empty' holds no *.tfrecords file");
  expect_error(train({"--shards", "3", "--out", "r"}), 1,
               "holds 2 *.tfrecords files, 3 are wanted");
  write("empty/shard_0000.tfrecords", "");
  expect_error(train({"--data", "empty", "--shards", "1", "--out", "r"}), 1,
               "data: 'empty' holds no samples");
  EXPECT_FALSE(exists("r"));
}

TEST_F(TrainRefusals, LongSamplesAreNamed) {
  ASSERT_EQ(
      run({"data", "arithmetic", "--out", "long", "--shards", "1", "--max-val", "1000000"}).code,
      0);
  expect_error(train({"--data", "long", "--shards", "1", "--out", "r"}), 1,
               "blog: 'long/shard_0000.tfrecords' holds '");
}

TEST_F(TrainRefusals, AFolderThatCannotBeMadeIsNamed) {
  write("file", "");
  for (const char* out : {"file", "file/r", "file/a/r"}) {
    expect_error(train({"--out", out}), 1, fmt::format("cannot create folder '{}'", out));
  }
}

TEST_F(TrainRefusals, AStepLogThatCannotBeWrittenLeavesNoRun) {
  expect_error(train({"--out", "a/r", "--step-log", "/dev/full"}), 1,
               "file: cannot write '/dev/full': No space left on device");
  expect_error(train({"--out", "a/r", "--step-log", "none/s.csv"}), 1,
               "cannot create 'none/s.csv'");
  EXPECT_FALSE(exists("a"));
}

TEST_F(TrainRefusals, AFullDiskLeavesNoHalfFile) {
  const auto result = train({"--out", "r", "--epochs", "3"}, {.file_limit = 100000});
  expect_error(result, 1,
               "cannot write 'r/checkpoints/step_000000000040.safetensors': File too large");
  EXPECT_FALSE(exists("r")) << "nothing was saved";
  EXPECT_EQ(train({"--out", "r", "--epochs", "3"}).code, 0) << "with room again, it works";

  expect_error(run({"train", "blog", "--out", "own", "--progress", "off"}, {.file_limit = 30000}),
               1, "cannot write 'own/data/shard_0000.tfrecords': File too large");
  EXPECT_FALSE(exists("own"));
}

TEST_F(TrainRefusals, ADivergingRunNamesStepAndOperation) {
  const auto result = train({"--out", "r", "--lr", "1e30"});
  expect_error(result, 1,
               "train: step 1: the loss is nan; first of all, stacked_matmul "
               "in layer 'reflect': gave ");
  EXPECT_FALSE(exists("r"));
}

}  // namespace
}  // namespace maskgrad
