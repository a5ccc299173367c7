#include <maskgrad/train/data/arithmetic.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

class Data : public test::CliTest {};

TEST_F(Data, GivesTheSameBytesForTheSameSeed) {
  for (const char* folder : {"a", "b"}) {
    const auto result = run({"data", "arithmetic", "--out", folder, "--shards", "3", "--samples",
                             "20", "--seed", "18446744073709551615"});
    EXPECT_EQ(result.out, std::string("60 samples in 3 shards in ") + folder + "\n");
  }
  ASSERT_EQ(run({"data", "arithmetic", "--out", "c", "--shards", "3", "--samples", "20"}).code, 0);
  for (const char* shard :
       {"/shard_0000.tfrecords", "/shard_0001.tfrecords", "/shard_0002.tfrecords"}) {
    EXPECT_EQ(read(std::string("a") + shard), read(std::string("b") + shard));
    EXPECT_NE(read(std::string("a") + shard), read(std::string("c") + shard));
  }
}

TEST_F(Data, KeepsNumbersBelowMaxVal) {
  ASSERT_EQ(run({"data", "arithmetic", "--out", "a", "--shards", "1", "--max-val", "3"}).code, 0);
  for (const auto& sample : read_arithmetic_shard(path("a/shard_0000.tfrecords"))) {
    for (const char digit : sample.defs)
      EXPECT_EQ(std::string("3456789").find(digit), std::string::npos);
  }
}

TEST_F(Data, DoesNotMixWithTheShardsOfAnotherDataSet) {
  const auto result = run({"data", "arithmetic", "--out", "d", "--shards", "1", "--samples", "7"});
  expect_error(result, 2, "'d' holds another data set's 'shard_0001.tfrecords' already");
}

TEST_F(Data, ReplacesADataSetOnlyWhenForced) {
  const std::vector<std::string> args = {"data",     "arithmetic", "--out",     "d",
                                         "--shards", "2",          "--samples", "7"};
  const std::string before = read("d/shard_0000.tfrecords");
  expect_error(run(args), 2, "data: 'd' holds data already: --force replaces them");
  EXPECT_EQ(read("d/shard_0000.tfrecords"), before);
  std::vector<std::string> forced = args;
  forced.push_back("--force");
  EXPECT_EQ(run(forced).out, "14 samples in 2 shards in d\n");
  EXPECT_NE(read("d/shard_0000.tfrecords"), before);
  // One that was left off half-made is data, too.
  std::filesystem::remove(path("d/shards.json"));
  std::filesystem::remove(path("d/shard_0000.tfrecords"));
  expect_error(run(args), 2, "--force replaces them");
}

TEST_F(Data, CountsOneOfEach) {
  const auto one = [&](const char* samples) {
    return run(
        {"data", "arithmetic", "--out", "one", "--shards", "1", "--samples", samples, "--force"});
  };
  EXPECT_EQ(one("1").out, "1 sample in 1 shard in one\n");
  EXPECT_EQ(one("2000").out, "2,000 samples in 1 shard in one\n");
}

TEST_F(Data, GoesIntoNoRun) {
  ASSERT_EQ(train({"--out", "r", "--steps", "1"}).code, 0);
  expect_error(run({"data", "arithmetic", "--out", "r"}), 2, "'r' holds a run: choose another");
  EXPECT_FALSE(exists("r/shards.json"));
}

TEST_F(Data, LeavesNoHalfShard) {
  expect_error(run({"data", "arithmetic", "--out", "x", "--shards", "1"}, {.file_limit = 30000}), 1,
               "cannot write 'x/shard_0000.tfrecords': File too large");
  EXPECT_TRUE(std::filesystem::is_empty(path("x")));
  write("file", "");
  expect_error(run({"data", "arithmetic", "--out", "file/x"}), 1, "cannot create folder 'file/x'");
}

TEST_F(Data, LeavesOffCleanlyWhenInterrupted) {
  for (const auto& [signal, code] : {std::pair(SIGINT, 130), {SIGTERM, 143}}) {
    auto data =
        start({"data", "arithmetic", "--out", "x", "--shards", "2", "--samples", "1000000000"});
    while (!exists("x") || std::filesystem::is_empty(path("x"))) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    data.signal(signal);
    EXPECT_EQ(data.wait().code, code);
    EXPECT_TRUE(std::filesystem::is_empty(path("x")));
  }
}

}  // namespace
}  // namespace maskgrad
