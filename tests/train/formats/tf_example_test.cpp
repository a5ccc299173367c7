#include <cmath>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/tf_example.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::from_hex;
using test::test_data;
using ::testing::HasSubstr;

using Integers = std::vector<std::int64_t>;
using Floats = std::vector<float>;
using Texts = std::vector<std::string>;

std::string first_record(const char* file) {
  RecordReader reader(test_data(file));
  std::string record;
  EXPECT_TRUE(reader.next(record));
  return record;
}

TEST(TfExample, ReadsTensorFlowsArithmeticRecords) {
  const Example example = decode_example(first_record("arithmetic.tfrecords"));
  // "x=-4,y=1:x+y:-3", of the vocabulary " :|xy=,+-*0123456789".
  const Example want = {{"defs", Integers{3, 5, 8, 15, 6, 4, 5, 12}},
                        {"op", Integers{3, 7, 4}},
                        {"res", Integers{8, 13}}};
  EXPECT_EQ(example, want);
}

TEST(TfExample, ReadsEveryKindOfFeatureThatTensorFlowWrote) {
  const Example example = decode_example(first_record("features.tfrecords"));
  const Example want = {
      {"bytes", Texts{std::string("\xff\0", 2), "", "abc"}},
      {"floats", Floats{1.5f, -0.0f, std::numeric_limits<float>::infinity(), 3.4028235e38f}},
      {"ints", Integers{0, -1, std::numeric_limits<std::int64_t>::max(),
                        std::numeric_limits<std::int64_t>::min(), 300}},
      {"none", Integers{}},
      {"é", Floats{}}};
  EXPECT_EQ(example, want);
  EXPECT_TRUE(std::signbit(std::get<Floats>(example.at("floats"))[1]));
}

TEST(TfExample, WritesTensorFlowsBytes) {
  for (const char* file : {"arithmetic.tfrecords", "features.tfrecords"}) {
    RecordReader reader(test_data(file));
    for (std::string record; reader.next(record);) {
      EXPECT_EQ(encode(decode_example(record)), record) << reader.where();
    }
    EXPECT_GT(reader.count(), 0);
  }
}

TEST(TfExample, TakesUnpackedNumbersAndSkipsUnknownFields) {
  // features { feature { key: "a" value { int64_list { value: 7 value: 300 } } } }, unpacked, with
  // an unknown varint in every message.
  const std::string list = from_hex("4801080708ac02");
  const auto message = [](char tag, const std::string& content) {
    return std::string{tag, static_cast<char>(content.size())} + content;
  };
  const std::string unknown = from_hex("4801");
  const std::string feature = unknown + message('\x1a', list);
  const std::string entry = message('\x12', feature) + unknown + message('\x0a', "a");
  const std::string features = unknown + message('\x0a', entry);
  const Example example = decode_example(unknown + message('\x0a', features));
  EXPECT_EQ(example, (Example{{"a", Integers{7, 300}}}));
}

TEST(TfExample, OfRepeatedFieldsTheLastCountsAsInProtobuf) {
  const std::string one = from_hex("0a0a0a016112051a030a0101");  // "a": int64_list {1}
  const std::string other = from_hex("0a070a016112021200");      // "a": float_list {}
  const auto in_features = [](const std::string& entries) {
    return std::string{'\x0a', static_cast<char>(entries.size())} + entries;
  };
  EXPECT_EQ(decode_example(in_features(one + other)), (Example{{"a", Floats{}}}));
  EXPECT_EQ(decode_example(in_features(other + one)), (Example{{"a", Integers{1}}}));
  // The field `features` given twice is merged.
  EXPECT_EQ(decode_example(in_features(other) + in_features(one)), (Example{{"a", Integers{1}}}));
  // One entry whose value is given twice: lists of one kind are joined, another kind replaces.
  const std::string joined = from_hex("0a110a016112051a030a010112051a030a0102");
  EXPECT_EQ(decode_example(in_features(joined)), (Example{{"a", Integers{1, 2}}}));
  const std::string replaced = from_hex("0a0e0a016112051a030a010112021200");
  EXPECT_EQ(decode_example(in_features(replaced)), (Example{{"a", Floats{}}}));
}

TEST(TfExample, AFeatureWithoutAListIsLeftOut) {
  EXPECT_EQ(decode_example(from_hex("0a070a050a01611200")), Example{});
  EXPECT_EQ(decode_example(""), Example{});
}

TEST(TfExample, RefusesEveryRecordCutShortThatProtobufRefuses) {
  // A cut is only sound where the outermost field ends, so nowhere in these records.
  const std::string record = first_record("features.tfrecords");
  for (std::size_t size = 1; size < record.size(); ++size) {
    EXPECT_THAT(error_of([&] { decode_example(record.substr(0, size), "shard, record 4"); }),
                HasSubstr("[protobuf] shard, record 4: byte "));
  }
}

TEST(TfExample, RefusesAKeyThatIsNotUtf8) {
  EXPECT_THAT(error_of([] { decode_example(from_hex("0a070a050a01ff1200")); }),
              HasSubstr("not UTF-8"));
  EXPECT_THAT(error_of([] { encode(Example{{"\xff", Integers{}}}); }), HasSubstr("not UTF-8"));
}

}  // namespace
}  // namespace maskgrad
