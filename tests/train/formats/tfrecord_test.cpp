#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/crc32c.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;
using test::test_data;
using ::testing::HasSubstr;

std::vector<std::string> read_all(const std::filesystem::path& path) {
  std::vector<std::string> records;
  RecordReader reader(path);
  for (std::string record; reader.next(record);) records.push_back(record);
  EXPECT_EQ(reader.count(), static_cast<std::int64_t>(records.size()));
  return records;
}

void overwrite(const std::filesystem::path& path, std::string_view bytes) {
  // A new file each time: some file systems wait for the disk when one is emptied and rewritten.
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// Length and its checksum, true to the format, for whatever length.
std::string header_for(std::uint64_t length) {
  std::string header;
  append_little_endian(header, length);
  append_little_endian(header, masked_crc32c(header));
  return header;
}

TEST(TfRecord, WritesTensorFlowsBytesForTensorFlowsRecords) {
  const ScratchFolder folder;
  const auto records = read_all(test_data("arithmetic.tfrecords"));
  ASSERT_EQ(records.size(), 3U);
  RecordWriter writer(folder / "copy");
  for (const auto& record : records) writer.write(record);
  EXPECT_EQ(writer.count(), 3);
  writer.commit();
  EXPECT_EQ(read_file(folder / "copy"), read_file(test_data("arithmetic.tfrecords")));
}

TEST(TfRecord, ReadsBackEmptyAndLargeRecords) {
  const ScratchFolder folder;
  const std::vector<std::string> records = {"", std::string(300000, 'x'), "", std::string(1, '\0')};
  RecordWriter writer(folder / "f");
  for (const auto& record : records) writer.write(record);
  writer.commit();
  EXPECT_EQ(read_all(folder / "f"), records);
}

TEST(TfRecord, AnEmptyFileHasNoRecords) {
  const ScratchFolder folder;
  overwrite(folder / "f", "");
  EXPECT_TRUE(read_all(folder / "f").empty());
}

TEST(TfRecord, AShardNeverCommittedLeavesNothing) {
  const ScratchFolder folder;
  { RecordWriter(folder / "f").write("data"); }
  EXPECT_EQ(folder.count(), 0);
}

TEST(TfRecord, RefusesAFileCutAnywhereButBetweenRecords) {
  const ScratchFolder folder;
  const std::string whole = read_file(test_data("arithmetic.tfrecords"));
  std::size_t sound = 0;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    overwrite(folder / "f", whole.substr(0, size));
    const std::string error = error_of([&] { read_all(folder / "f"); });
    if (error == "no error")
      ++sound;
    else
      ASSERT_THAT(error, HasSubstr("truncated")) << size;
  }
  EXPECT_EQ(sound, 4U);  // after 0, 1, 2 and 3 records
}

TEST(TfRecord, RefusesEveryFlippedBit) {
  const ScratchFolder folder;
  const std::string whole = read_file(test_data("arithmetic.tfrecords"));
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    overwrite(folder / "f", flipped);
    ASSERT_THAT(error_of([&] { read_all(folder / "f"); }), HasSubstr("checksum does not match"))
        << bit;
  }
}

TEST(TfRecord, NamesFileRecordOffsetAndWhatFailed) {
  const ScratchFolder folder;
  const std::string name = (folder / "f").string();
  std::string whole;
  append_record(whole, "abc");
  append_record(whole, "defg");
  const auto error_with = [&](std::size_t at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] + 1);
    overwrite(name, damaged);
    return error_of([&] { read_all(name); });
  };
  const std::string where = "[tfrecord] '" + name + "': record ";
  EXPECT_EQ(error_with(0), where + "0 at byte 0: length checksum does not match");
  EXPECT_EQ(error_with(12), where + "0 at byte 0: data checksum does not match");
  EXPECT_EQ(error_with(19 + 8), where + "1 at byte 19: length checksum does not match");
  EXPECT_EQ(error_with(19 + 16), where + "1 at byte 19: data checksum does not match");
  overwrite(name, whole + "123");
  EXPECT_EQ(error_of([&] { read_all(name); }), where + "2 at byte 39: truncated in its header");
}

TEST(TfRecord, AHugeLengthIsRefusedAndNotAllocated) {
  const ScratchFolder folder;
  for (const std::uint64_t length :
       {std::uint64_t{4}, std::uint64_t{1} << 40, std::uint64_t{1} << 63, UINT64_MAX - 15,
        UINT64_MAX - 11, UINT64_MAX - 4, UINT64_MAX - 3, UINT64_MAX}) {
    overwrite(folder / "f", header_for(length) + "1234567");
    EXPECT_THAT(error_of([&] { read_all(folder / "f"); }), HasSubstr("truncated in its data"))
        << length;
  }
}

TEST(TfRecord, TellsWhereTheLastRecordWas) {
  RecordReader reader(test_data("arithmetic.tfrecords"));
  std::string record;
  ASSERT_TRUE(reader.next(record));
  EXPECT_THAT(reader.where(), HasSubstr("arithmetic.tfrecords': record 0 at byte 0"));
  const std::size_t first_size = record.size() + 16;
  ASSERT_TRUE(reader.next(record));
  EXPECT_THAT(reader.where(), HasSubstr("record 1 at byte " + std::to_string(first_size)));
}

TEST(TfRecord, CannotOpenWhatIsNotThere) {
  EXPECT_THAT(error_of([] { RecordReader reader("/none/f.tfrecords"); }),
              HasSubstr("cannot open '/none/f.tfrecords'"));
}

}  // namespace
}  // namespace maskgrad
