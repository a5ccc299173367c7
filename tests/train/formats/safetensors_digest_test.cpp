// The digest that safetensors files of ours hold.
#include <gmock/gmock.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/digest.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;
using test::test_data;
using ::testing::EndsWith;
using ::testing::HasSubstr;

const std::string kDamaged = "its bytes do not match its digest: the file is damaged";
const std::string kMissing = "its digest is missing: the file is damaged";

// The bytes of a small file with these metadata.
std::string saved(const Metadata& metadata = {}) {
  const ScratchFolder folder;
  save_tensors(folder / "f", {{"w", Tensor::from<float>({1, 2, 3}, {3})}}, metadata);
  return read_file(folder / "f");
}

std::string judgement(const std::string& bytes) {
  return error_of([&] { SafetensorsFile(bytes, "f"); });
}

// A file that anybody might have written, with this header.
std::string file_with(const std::string& header) {
  std::string bytes;
  append_little_endian(bytes, static_cast<std::uint64_t>(header.size()));
  return bytes + header;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(SafetensorsDigest, IsTheChecksumOfAllBytesWithZerosInItsPlace) {
  std::string bytes = saved({{"note", "\"maskgrad.crc32c\":\"11111111\""}});
  const std::string key = "\"maskgrad.crc32c\":\"";
  const std::size_t at = bytes.find(key) + key.size();
  const std::string digest = bytes.substr(at, 8);
  EXPECT_EQ(crc_text(crc32c_portable(bytes.replace(at, 8, "00000000"))), digest);
}

TEST(SafetensorsDigest, IsVerifiedAndKeptOutOfTheMetadata) {
  const SafetensorsFile file(saved({{"step", "3"}}), "f");
  EXPECT_TRUE(file.has_digest());
  EXPECT_EQ(file.metadata(), (Metadata{{"format", "maskgrad tensors 2"}, {"step", "3"}}));
  EXPECT_FALSE(SafetensorsFile::open(test_data("float32.safetensors")).has_digest());
}

TEST(SafetensorsDigest, FindsEveryFlippedBit) {
  const std::string bytes = saved();
  ASSERT_EQ(judgement(bytes), "no error");
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    EXPECT_NE(judgement(flipped), "no error") << bit;
    const bool is_in_data = bit / 8 >= bytes.size() - 12;
    if (is_in_data) {
      EXPECT_EQ(judgement(flipped), "[safetensors] 'f': " + kDamaged);
    }
  }
}

TEST(SafetensorsDigest, FindsExchangedBytesAndOtherTensorsOfTheSameShape) {
  std::string exchanged = saved();
  std::swap(exchanged[exchanged.size() - 1], exchanged[exchanged.size() - 3]);
  EXPECT_THAT(judgement(exchanged), EndsWith(kDamaged));
  EXPECT_THAT(judgement(replaced(saved(), "\"w\"", "\"v\"")), EndsWith(kDamaged));
}

TEST(SafetensorsDigest, IsMissedInFilesOfOursOnly) {
  const auto with_format = [](const std::string& format) {
    return judgement(file_with("{\"__metadata__\":{\"format\":\"" + format + "\"}}"));
  };
  EXPECT_EQ(with_format("maskgrad tensors 2"), "[safetensors] 'f': " + kMissing);
  EXPECT_THAT(with_format("maskgrad model 3"), EndsWith(kMissing));
  EXPECT_EQ(with_format("maskgrad checkpoint 1"), "no error") << "the first version had none";
  for (const char* other : {"pt", "np", "", "maskgradient 2"}) {
    EXPECT_EQ(with_format(other), "no error");
  }
}

TEST(SafetensorsDigest, CountsOnlyInTheSpellingInWhichItIsWritten) {
  const std::string bytes = saved();
  EXPECT_THAT(judgement(replaced(bytes, "maskgrad.crc32c", "maskgrad.crc32x")), EndsWith(kMissing));
  for (const char* metadata : {R"({"maskgrad.crc32c":""})", R"({"maskgrad.crc32c":"0"})",
                               R"({"maskgrad.crc32c" :"00000000"})",
                               R"({"maskgrad.crc32c":"00000000","maskgrad.crc32c":"00000000"})",
                               R"({"\u006daskgrad.crc32c":"00000000"})"}) {
    EXPECT_THAT(judgement(file_with(std::string("{\"__metadata__\":") + metadata + "}")),
                EndsWith(kDamaged))
        << metadata;
  }
}

TEST(SafetensorsDigest, TakesNoMetadataUnderItsOwnKey) {
  const ScratchFolder folder;
  EXPECT_THAT(error_of([&] {
                save_tensors(folder / "f", {}, {{"maskgrad.crc32c", "1"}});
              }),
              HasSubstr("the digest's own key"));
  EXPECT_EQ(folder.count(), 0);
}

// A terabyte that is a hole but for its first bytes. Its header would need all of it, or is wrong.
TEST(SafetensorsFile, ReadsDataOnlyWhereTheHeaderFitsTheFile) {
  const ScratchFolder folder;
  write_file(folder / "f", file_with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})"));
  std::filesystem::resize_file(folder / "f", std::uintmax_t{1} << 40);
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(folder / "f"); }),
              HasSubstr("the tensors end at 4, the data at 10995"));
  write_file(folder / "f", "");
  std::filesystem::resize_file(folder / "f", std::uintmax_t{1} << 40);
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(folder / "f"); }),
              HasSubstr("header byte 0: expected an object"));
  EXPECT_THAT(error_of([] { SafetensorsFile::open("/dev/zero"); }),
              HasSubstr("it is no regular file"));
}

}  // namespace
}  // namespace maskgrad
