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
  for (const char* name : {"d/mine.tfrecords", "d/shard_00007.tfrecords", "d/shard_7.tfrecords"}) {
    write(name, "mine");
    const auto result =
        run({"data", "arithmetic", "--out", "d", "--shards", "2", "--samples", "7", "--force"});
    expect_error(result, 2,
                 "'d' holds another data set's '" + std::string(name).substr(2) + "' already");
    EXPECT_EQ(read(name), "mine");
    std::filesystem::remove(path(name));
  }
  std::filesystem::create_directory(path("d/shard_0007.tfrecords"));
  expect_error(run({"data", "arithmetic", "--out", "d", "--shards", "2", "--force"}), 2,
               "'d' holds another data set's 'shard_0007.tfrecords' already");
}

TEST_F(Data, ReplacesMoreShardsByFewerWhenForcedAndLeavesOtherFiles) {
  const auto make = [&](const char* folder, const char* shards, const char* force) {
    return run({"data", "arithmetic", "--out", folder, "--shards", shards, "--samples", "7",
                "--seed", shards, force});
  };
  ASSERT_EQ(make("many", "12", "--force").code, 0);
  write("many/notes.txt", "mine");
  write("many/shard_0011.tfrecords.bak", "mine");
  expect_error(run({"data", "arithmetic", "--out", "many", "--shards", "2"}), 2,
               "data: 'many' holds data already: --force replaces them");
  EXPECT_EQ(make("many", "2", "--force").out, "14 samples in 2 shards in many\n");
  ASSERT_EQ(make("few", "2", "--force").code, 0);
  for (const char* file : {"/shard_0000.tfrecords", "/shard_0001.tfrecords", "/shards.json"}) {
    EXPECT_EQ(read(std::string("many") + file), read(std::string("few") + file));
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path("many")), {}), 5);
  EXPECT_EQ(read("many/notes.txt") + read("many/shard_0011.tfrecords.bak"), "minemine");
  EXPECT_EQ(run({"inspect", "many"}).code, 0);
}

TEST_F(Data, KeepsTheOldSetWhereTheNewOneFailsOrIsStopped) {
  const auto all = [&] { return read("d/shard_0000.tfrecords") + read("d/shards.json"); };
  const std::string before = all();
  const std::vector<std::string> args = {"data",     "arithmetic", "--out",     "d",      "--force",
                                         "--shards", "3",          "--samples", "1000000"};
  expect_error(run(args, {.file_limit = 30000}), 1,
               "cannot write 'd/shard_0000.tfrecords': File too large");
  EXPECT_EQ(all(), before);
  auto data = start(args);
  const auto is_writing = [&] {
    for (const auto& file : std::filesystem::directory_iterator(path("d"))) {
      if (file.path().string().find(".tmp.") != std::string::npos) return true;
    }
    return false;
  };
  while (!is_writing()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  data.signal(SIGINT);
  const auto stopped = data.wait();
  EXPECT_EQ(stopped.code, 130);
  EXPECT_EQ(stopped.err,
            "maskgrad: interrupted; nothing was written to 'd'; begin again with: maskgrad data "
            "arithmetic --out d --shards 3 --samples 1000000 --force\n");
  EXPECT_EQ(all(), before);
  EXPECT_FALSE(is_writing());
}

TEST_F(Data, ShowsAtATerminalHowFarALargeSetIs) {
  if (!test::has_terminals()) GTEST_SKIP();
  auto data =
      start({"data", "arithmetic", "--out", "large", "--shards", "1", "--samples", "100000000"},
            {.environment = {"TERM=xterm"}, .terminal_columns = 80});
  EXPECT_TRUE(data.shows(" of 100,000,000 samples"));
  EXPECT_TRUE(data.shows(" of 100,000,000 samples")) << "again and again";
  data.signal(SIGINT);
  EXPECT_TRUE(data.shows("\r\x1b[Kmaskgrad: interrupted; "));
  EXPECT_EQ(data.wait().code, 130);
  const auto quick = run({"data", "arithmetic", "--out", "small"}, {.terminal_columns = 80});
  EXPECT_THAT(quick.out, ::testing::EndsWith("10,000 samples in 10 shards in small\r\n"));
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
