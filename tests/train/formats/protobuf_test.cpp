#include <bit>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/protobuf.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::from_hex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Reads all fields of a message and keeps nothing.
std::string error_in(const std::string& bytes) {
  return error_of([&] {
    WireReader reader(bytes, "test");
    while (reader.next()) {
    }
  });
}

TEST(Protobuf, WritesTheExamplesOfTheEncodingGuide) {
  // protobuf.dev/programming-guides/encoding: a = 150; b = "testing"; packed {3, 270, 86942}.
  WireWriter number;
  number.add_int64(1, 150);
  EXPECT_EQ(number.bytes(), from_hex("089601"));
  WireWriter text;
  text.add_bytes(2, "testing");
  EXPECT_EQ(text.bytes(), from_hex("120774657374696e67"));
  WireWriter outer;
  outer.add_bytes(3, number.bytes());
  EXPECT_EQ(outer.bytes(), from_hex("1a03089601"));
  WireWriter packed;
  packed.add_packed(6, std::vector<std::int64_t>{3, 270, 86942});
  EXPECT_EQ(packed.bytes(), from_hex("3206038e029ea705"));
  WireWriter negative;
  negative.add_int64(1, -2);
  EXPECT_EQ(negative.bytes(), from_hex("08feffffffffffffffff01"));
}

TEST(Protobuf, ReadsBackEveryKindOfValue) {
  WireWriter out;
  out.add_int64(1, std::numeric_limits<std::int64_t>::min());
  out.add_float(2, -0.0f);
  out.add_double(3, 1e-310);
  out.add_bytes(536870911, "é");
  WireReader in(out.bytes(), "test");
  ASSERT_TRUE(in.next() && in.is(1, WireType::kVarint));
  EXPECT_EQ(in.int64(), std::numeric_limits<std::int64_t>::min());
  ASSERT_TRUE(in.next() && in.is(2, WireType::kFixed32));
  EXPECT_EQ(std::bit_cast<std::uint32_t>(in.float32()), 0x80000000U);
  ASSERT_TRUE(in.next() && in.is(3, WireType::kFixed64));
  EXPECT_EQ(in.float64(), 1e-310);
  ASSERT_TRUE(in.next() && in.is(536870911, WireType::kBytes));
  EXPECT_EQ(in.string(), "é");
  EXPECT_FALSE(in.next());
}

TEST(Protobuf, TakesListsPackedAndUnpackedAlike) {
  // value = 1: packed {1, 300}, then 5 alone, then an empty list, then -1.
  const std::string bytes = from_hex("0a0301ac0208050a0008ffffffffffffffffff01");
  std::vector<std::int64_t> values;
  WireReader in(bytes, "test");
  while (in.next()) EXPECT_TRUE(in.append_to(values));
  EXPECT_THAT(values, ElementsAre(1, 300, 5, -1));

  const std::string floats = from_hex("0a080000803f000000400d00004040");
  std::vector<float> numbers;
  WireReader in_floats(floats, "test");
  while (in_floats.next()) EXPECT_TRUE(in_floats.append_to(numbers));
  EXPECT_THAT(numbers, ElementsAre(1.0f, 2.0f, 3.0f));

  WireReader other(floats, "test");
  ASSERT_TRUE(other.next() && other.next());
  EXPECT_FALSE(other.append_to(values));  // a fixed32 is no int64, and is skipped
  EXPECT_FALSE(other.next());
}

TEST(Protobuf, SkipsWhatIsNotAskedForGroupsIncluded) {
  // varint, fixed64, bytes, group { varint, group {} }, fixed32, then field 7 = 1.
  const std::string bytes =
      from_hex("08960111010203040506070812036162632308012324242d010203043801");
  WireReader in(bytes, "test");
  std::vector<std::uint32_t> fields;
  while (in.next()) fields.push_back(in.field());
  EXPECT_THAT(fields, ElementsAre(1U, 2U, 2U, 4U, 5U, 7U));
}

TEST(Protobuf, RefusesMalformedBytes) {
  EXPECT_EQ(error_in(from_hex("08")), "[protobuf] test: byte 1: truncated");
  EXPECT_THAT(error_in(from_hex("0880")), HasSubstr("truncated"));
  EXPECT_THAT(error_in(from_hex("0a0261")), HasSubstr("byte 2: truncated"));
  EXPECT_THAT(error_in(from_hex("0affffffffffffffffff01")), HasSubstr("truncated"));
  EXPECT_THAT(error_in(from_hex("09010203")), HasSubstr("truncated"));
  EXPECT_THAT(error_in(from_hex("0d010203")), HasSubstr("truncated"));
  EXPECT_THAT(error_in(from_hex("0001")), HasSubstr("field number 0"));
  EXPECT_THAT(error_in(from_hex("0e01")), HasSubstr("unknown wire type"));
  EXPECT_THAT(error_in(from_hex("08ffffffffffffffffffff01")), HasSubstr("more than 10 bytes"));
  EXPECT_THAT(error_in(from_hex("8880808080000001")), HasSubstr("tag is too long"));
  EXPECT_THAT(error_in(from_hex("0c")), HasSubstr("did not begin"));
  EXPECT_THAT(error_in(from_hex("0b14")), HasSubstr("ends as another began"));
  EXPECT_THAT(error_in(from_hex("0b0801")), HasSubstr("truncated in a group"));
  EXPECT_THAT(error_in(std::string(1000000, '\x0b')), HasSubstr("nested too deeply"));
}

TEST(Protobuf, CountsOffsetsFromTheOutermostMessage) {
  const std::string bytes = from_hex("080112050a03089680");
  WireReader outer(bytes, "test");
  ASSERT_TRUE(outer.next() && outer.next());
  WireReader inner = outer.message();
  ASSERT_TRUE(inner.next());
  WireReader innermost = inner.message();
  EXPECT_EQ(error_of([&] {
              while (innermost.next()) {
              }
            }),
            "[protobuf] test: byte 9: truncated");
}

TEST(Protobuf, RefusesAPackedListThatEndsWithinAValue) {
  std::vector<float> floats;
  const std::string bytes = from_hex("0a050000803f00");
  WireReader in(bytes, "test");
  ASSERT_TRUE(in.next());
  EXPECT_THAT(error_of([&] { in.append_to(floats); }), HasSubstr("ends within a value"));
  std::vector<std::int64_t> integers;
  const std::string cut = from_hex("0a020180");
  WireReader in_cut(cut, "test");
  ASSERT_TRUE(in_cut.next());
  EXPECT_THAT(error_of([&] { in_cut.append_to(integers); }), HasSubstr("truncated"));
}

TEST(Protobuf, RefusesAStringThatIsNotUtf8) {
  for (const char* text : {"0a01ff", "0a01c3", "0a02c080", "0a03eda080", "0a04f4908080"}) {
    const std::string bytes = from_hex(text);
    WireReader in(bytes, "test");
    ASSERT_TRUE(in.next());
    EXPECT_THAT(error_of([&] { in.string(); }), HasSubstr("not UTF-8")) << text;
  }
}

}  // namespace
}  // namespace maskgrad
