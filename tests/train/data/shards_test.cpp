#include <gmock/gmock.h>

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::ScratchFolder;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// Three shards of four samples each, with their index.
class Shards : public ::testing::Test {
 protected:
  void SetUp() override { write_arithmetic_shards(folder_.path(), {.shards = 3, .samples = 4}); }

  fs::path shard(std::int64_t i) const { return folder_.path() / arithmetic_shard_name(i); }
  // The error of listing, with the folder called F.
  std::string listing(std::int64_t limit = 0) const {
    std::string text = error_of([&] { list_shards(folder_.path(), limit); });
    const std::string name = folder_.path().string();
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name)) {
      text.erase(at, name.size()).insert(at, 1, 'F');
    }
    return text;
  }
  std::string index() const { return read_file(folder_ / "shards.json"); }
  void write_index(const std::string& text) const { write_file(folder_ / "shards.json", text); }

  ScratchFolder folder_;
};

TEST_F(Shards, AreTakenAsTheIndexListsThem) {
  EXPECT_THAT(list_shards(folder_.path()), ElementsAre(shard(0), shard(1), shard(2)));
  EXPECT_THAT(list_shards(folder_.path(), 2), ElementsAre(shard(0), shard(1)));
  const auto entries = parse_shard_index(index(), "f");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[1].name, "shard_0001.tfrecords");
  EXPECT_EQ(entries[1].records, 4);
  EXPECT_EQ(entries[1].digest, digest_of_file(shard(1)));
}

TEST_F(Shards, AreMissedWhenOneIsGoneAndNoticedWhenOneIsAdded) {
  fs::rename(shard(1), folder_ / "elsewhere");
  EXPECT_EQ(listing(),
            "[data] 'F/shard_0001.tfrecords' is missing, though 'F/shards.json' lists it: bring it "
            "back, or write the data again");
  EXPECT_THAT(listing(1), HasSubstr("is missing")) << "even where it would not be read";
  fs::rename(folder_ / "elsewhere", folder_ / "a.tfrecords");
  EXPECT_EQ(listing(),
            "[data] 'F/a.tfrecords' is not among the shards of 'F/shards.json': move it away, or "
            "write the data again");
}

TEST_F(Shards, AreRefusedWhenCutBetweenTwoRecordsOrEmptiedOrExchanged) {
  const std::string whole = read_file(shard(1));
  RecordReader reader(shard(1));
  std::string record;
  ASSERT_TRUE(reader.next(record));
  const std::size_t first = record.size() + 16;
  for (const std::string& bytes : {whole.substr(0, first), whole.substr(first), std::string()}) {
    write_file(shard(1), bytes);
    EXPECT_THAT(listing(), ::testing::MatchesRegex("\\[data\\] 'F/shard_0001.tfrecords' has [0-9]+ "
                                                   "bytes, and had [0-9]+: bring it back, or write "
                                                   "the data again"));
  }
  // As many bytes, but the records in another order.
  write_file(shard(1), whole.substr(first) + whole.substr(0, first));
  EXPECT_EQ(listing(),
            "[data] 'F/shard_0001.tfrecords' does not hold the records that 'F/shards.json' lists: "
            "bring it back, or write the data again");
}

TEST_F(Shards, AreReadWithoutAnIndexToo) {
  fs::remove(folder_ / "shards.json");
  fs::remove(shard(1));
  EXPECT_THAT(list_shards(folder_.path()), ElementsAre(shard(0), shard(2)));
}

TEST_F(Shards, AreRefusedUntilAllAreWritten) {
  write_unfinished_shard_index(folder_.path());
  EXPECT_THAT(listing(), EndsWith("the shards were not all written: write the data again"));
  std::atomic<bool> stop = true;
  EXPECT_FALSE(write_arithmetic_shards(folder_.path(), {.shards = 3, .samples = 4}, &stop));
  EXPECT_TRUE(write_arithmetic_shards(folder_.path(), {.shards = 3, .samples = 4}));
  EXPECT_EQ(listing(), "no error");
  // One that leaves off before its first shard is whole leaves all as it was.
  EXPECT_FALSE(write_arithmetic_shards(folder_.path(), {.shards = 3, .seed = 1}, &stop));
  EXPECT_EQ(listing(), "no error");
}

TEST_F(Shards, NoticeEveryFlippedBitOfTheirIndex) {
  const std::string text = index();
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    write_index(flipped);
    const bool was_space = text[bit / 8] == ' ' || text[bit / 8] == '\n';
    if (!was_space) {
      EXPECT_NE(listing(), "no error") << bit << ": " << flipped;
    }
  }
}

TEST_F(Shards, SayWhatIsWrongWithTheirIndex) {
  const auto with = [&](const std::string& text) {
    write_index(text);
    return listing();
  };
  const std::string needs = "an index needs format, version and shards";
  EXPECT_THAT(with("{}"), EndsWith(needs));
  EXPECT_THAT(with(R"({"format":"other","version":1,"shards":[]})"), EndsWith(needs));
  EXPECT_THAT(with(R"({"format":"maskgrad shards","shards":[]})"), EndsWith(needs));
  EXPECT_THAT(with(R"({"format":"maskgrad shards","version":1})"), EndsWith(needs));
  EXPECT_EQ(with(""), "[data] 'F/shards.json': byte 0: expected an object");
  EXPECT_THAT(with(R"({"format":"maskgrad shards","version":2,"shards":[]})"),
              EndsWith("a newer maskgrad wrote this: take that one, or write the data again"));
  EXPECT_THAT(with(R"({"format":"maskgrad shards","version":1,"shards":[{"name":"a"}]})"),
              EndsWith("a shard needs name, records, bytes and crc32c"));
  EXPECT_THAT(with(R"({"format":"maskgrad shards","version":1,"shards":[]})"),
              HasSubstr("is not among the shards of"));
  const std::string entry = R"({"name":"a","records":1,"bytes":1,"crc32c":"00000000"})";
  EXPECT_THAT(
      with(R"({"format":"maskgrad shards","version":1,"shards":[)" + entry + "," + entry + "]}"),
      HasSubstr("lists \"a\" twice"));
}

}  // namespace
}  // namespace maskgrad
