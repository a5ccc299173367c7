#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/safetensors.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;
using test::test_data;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string file_with(const std::string& header, std::size_t data_size) {
  std::string bytes;
  append_little_endian(bytes, static_cast<std::uint64_t>(header.size()));
  return bytes + header + std::string(data_size, '\1');
}

SafetensorsFile parse(const std::string& header, std::size_t data_size) {
  return SafetensorsFile(file_with(header, data_size), "f");
}

std::string refusal(const std::string& header, std::size_t data_size = 4) {
  return error_of([&] { parse(header, data_size); });
}

/// A header with one tensor "a" of these dtype, shape and offsets.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(Safetensors, ReadsEveryDtypeThatTheReferenceWrote) {
  const auto file = SafetensorsFile::open(test_data("dtypes.safetensors"));
  EXPECT_EQ(file.metadata(), (Metadata{{"format", "np \"ü\"\n"}}));
  EXPECT_THAT(file.repeated_keys(), IsEmpty());
  std::map<std::string, std::string> dtypes;
  std::size_t next = 0;
  for (const SafetensorsEntry& entry : file.entries()) {
    dtypes[entry.name] = entry.dtype;
    if (entry.name == "empty")
      EXPECT_THAT(entry.shape, ElementsAre(0, 3));
    else if (entry.name == "scalar")
      EXPECT_THAT(entry.shape, IsEmpty());
    else
      EXPECT_THAT(entry.shape, ElementsAre(1, 3)) << entry.name;
    if (next != 0 && !entry.data.empty()) {  // in the order in which the data lies
      EXPECT_EQ(entry.data.data(), file.entries()[0].data.data() + next);
    }
    next += entry.data.size();
  }
  const std::map<std::string, std::string> want = {
      {"bool", "BOOL"},   {"empty", "F32"},  {"float16", "F16"}, {"float32", "F32"},
      {"float64", "F64"}, {"int16", "I16"},  {"int32", "I32"},   {"int64", "I64"},
      {"int8", "I8"},     {"scalar", "F32"}, {"uint16", "U16"},  {"uint32", "U32"},
      {"uint64", "U64"},  {"uint8", "U8"}};
  EXPECT_EQ(dtypes, want);
}

TEST(Safetensors, WritesTheReferencesBytesForFloat32) {
  const ScratchFolder folder;
  const auto file = SafetensorsFile::open(test_data("float32.safetensors"));
  ASSERT_EQ(file.entries().size(), 3U);
  write_safetensors(folder / "copy", file.entries());
  EXPECT_EQ(read_file(folder / "copy"), read_file(test_data("float32.safetensors")));
}

TEST(Safetensors, SortsBySizeThenNameAndPadsTheHeader) {
  const ScratchFolder folder;
  const std::vector<SafetensorsEntry> entries = {{"z", "BOOL", {1}, "b"},
                                                 {"b", "F32", {1}, "ffff"},
                                                 {"c", "F64", {}, "dddddddd"},
                                                 {"a", "I32", {1, 1}, "iiii"}};
  write_safetensors(folder / "f", entries, {{"step", "7"}});
  const std::string bytes = read_file(folder / "f");
  const auto length = load_little_endian<std::uint64_t>(bytes.data());
  EXPECT_EQ(length % 8, 0U);
  const std::string header = bytes.substr(8, length);
  EXPECT_EQ(header.substr(0, header.find_last_not_of(' ') + 1),
            R"({"__metadata__":{"step":"7"},)"
            R"("c":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
            R"("a":{"dtype":"I32","shape":[1,1],"data_offsets":[8,12]},)"
            R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},)"
            R"("z":{"dtype":"BOOL","shape":[1],"data_offsets":[16,17]}})");
  EXPECT_EQ(bytes.substr(8 + length), "ddddddddiiiiffffb");
}

TEST(Safetensors, RefusesAHeaderThatDoesNotFitTheFile) {
  const auto error = [](const std::string& bytes) {
    return error_of([&] { SafetensorsFile(bytes, "f"); });
  };
  const auto with_length = [](std::uint64_t length) {
    std::string bytes;
    append_little_endian(bytes, length);
    return bytes + "{}";
  };
  EXPECT_THAT(error(""), HasSubstr("'f': its 0 bytes are fewer than a header's"));
  EXPECT_THAT(error("1234567"), HasSubstr("its 7 bytes"));
  EXPECT_THAT(error(with_length(3)), HasSubstr("header length 3 reaches past the end"));
  EXPECT_THAT(error(with_length(100'000'000)), HasSubstr("reaches past the end"));
  EXPECT_THAT(error(with_length(100'000'001)), HasSubstr("length 100000001 is above 100000000"));
  EXPECT_THAT(error(with_length(UINT64_MAX)), HasSubstr("is above"));
  EXPECT_THAT(error(with_length(0)), HasSubstr("expected an object"));
  EXPECT_EQ(error(with_length(2)), "no error");
}

TEST(Safetensors, RefusesABadHeaderSayingWhere) {
  EXPECT_EQ(refusal("[]", 0), "[safetensors] 'f': header byte 0: expected an object");
  EXPECT_EQ(refusal("{\"\xff\":1}"), "[safetensors] 'f': header byte 2: not UTF-8");
  EXPECT_THAT(refusal("{} x", 0), HasSubstr("byte 3: unexpected text after the end"));
  EXPECT_THAT(refusal(R"({"a":1})"), HasSubstr("byte 5: expected an object"));
  EXPECT_THAT(refusal(R"({"a":{"shape":[1],"data_offsets":[0,4]}})"),
              HasSubstr("\"dtype\" is missing"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})"),
              HasSubstr("\"shape\" is missing"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1]}})"),
              HasSubstr("\"data_offsets\" is missing"));
  EXPECT_THAT(refusal(one("F99", "[1]", "[0,4]")), HasSubstr("unknown dtype"));
  EXPECT_THAT(refusal(one("f32", "[1]", "[0,4]")), HasSubstr("unknown dtype"));
  for (const char* shape : {"[1.0]", "[1e0]", "[-1]", "[\"1\"]", "[null]", "1", "null", "[[1]]"}) {
    EXPECT_THAT(refusal(one("F32", shape, "[0,4]")), HasSubstr("expected")) << shape;
  }
  EXPECT_THAT(refusal(one("F32", "[1]", "[-0,4]")), HasSubstr("expected a whole number"));
  EXPECT_THAT(refusal(one("F32", "[1]", "[0,4,4]")), HasSubstr("must be two numbers"));
  EXPECT_THAT(refusal(one("F32", "[1]", "[0]")), HasSubstr("must be two numbers"));
}

TEST(Safetensors, RefusesMetadataThatIsNotText) {
  const std::string tensor = one("F32", "[1]", "[0,4]").substr(1);
  for (const char* metadata : {R"({"a":1})", R"({"a":null})", R"({"a":{}})", "[]", "1", R"("a")"}) {
    EXPECT_THAT(refusal(std::string(R"({"__metadata__":)") + metadata + "," + tensor),
                HasSubstr("expected"))
        << metadata;
  }
  EXPECT_EQ(refusal(R"({"__metadata__":null,)" + tensor), "no error");
}

TEST(Safetensors, RefusesKeysGivenTwice) {
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
              HasSubstr("\"dtype\" is given twice"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})"),
              HasSubstr("\"shape\" is given twice"));
  EXPECT_THAT(
      refusal(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"data_offsets":[0,1]}})", 1),
      HasSubstr("\"data_offsets\" is given twice"));
  EXPECT_THAT(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0),
              HasSubstr("\"__metadata__\" is given twice"));
}

TEST(Safetensors, ReportsRepeatedNamesOfWhichTheLastCounts) {
  const std::string first = R"("a":{"dtype":"F64","shape":[9],"data_offsets":[3,99]})";
  const std::string last = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const auto file = parse(R"({"__metadata__":{"k":"1","k":"2"},)" + first + "," + last + "}", 4);
  ASSERT_EQ(file.entries().size(), 1U);
  EXPECT_EQ(file.entries()[0].dtype, "F32");
  EXPECT_EQ(file.metadata().at("k"), "2");
  EXPECT_THAT(file.repeated_keys(), ElementsAre("k", "a"));
  EXPECT_THAT(refusal("{" + last + "," + first + "}"), HasSubstr("begins at 3"));
}

TEST(Safetensors, RefusesDataThatDoesNotFitTheOffsets) {
  const auto two = [](const char* a, const char* b) {
    return std::string(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)") + a +
           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}";
  };
  EXPECT_EQ(refusal(two("[2,4]", "[0,2]")), "no error");
  EXPECT_EQ(refusal(two("[0,2]", "[3,5]"), 5),
            "[safetensors] 'f': tensor \"b\" begins at 3, the one before ends at 2");
  EXPECT_THAT(refusal(two("[0,2]", "[1,3]"), 3), HasSubstr("\"b\" begins at 1"));
  EXPECT_THAT(refusal(two("[1,3]", "[3,5]"), 5), HasSubstr("\"a\" begins at 1"));
  EXPECT_THAT(refusal(two("[0,2]", "[2,4]"), 5), HasSubstr("the tensors end at 4, the data at 5"));
  EXPECT_THAT(refusal(two("[0,2]", "[2,4]"), 3), HasSubstr("the tensors end at 4, the data at 3"));
  EXPECT_THAT(refusal(one("F32", "[1]", "[4,0]")), HasSubstr("begins at 4"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                      R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}})",
                      2),
              HasSubstr("\"b\" ends at 1, before it begins at 2"));
  EXPECT_THAT(refusal(one("F32", "[2]", "[0,4]")),
              HasSubstr("tensor \"a\" has 4 bytes, its dtype and shape need 8"));
  EXPECT_THAT(refusal("{}"), HasSubstr("the tensors end at 0, the data at 4"));
}

TEST(Safetensors, RefusesSizesThatOverflow) {
  for (const char* shape : {"[4294967296,4294967296]", "[4294967296,4294967296,0]",
                            "[576460752303423488]", "[9223372036854775808,2]"}) {
    EXPECT_THAT(refusal(one("F32", shape, "[0,0]"), 0), HasSubstr("overflows 64 bits")) << shape;
  }
  EXPECT_THAT(refusal(one("U8", "[0,9223372036854775808]", "[0,0]"), 0),
              HasSubstr("has a dimension of 9223372036854775808"));
  EXPECT_THAT(refusal(one("F4", "[3]", "[0,1]"), 1), HasSubstr("does not fill whole bytes"));
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_EQ(refusal("{}", 0), "no error");
  EXPECT_EQ(refusal(" \n\t\r{} \n", 0), "no error");
  EXPECT_EQ(refusal(one("F32", "[]", "[0,4]")), "no error");
  EXPECT_EQ(refusal(one("F32", "[3,0,2]", "[0,0]"), 0), "no error");
  EXPECT_EQ(refusal(R"({"":{"data_offsets":[0,4],"extra":[{"x":null}],"dtype":"\u004632",)"
                    R"("shape":[1]}})"),
            "no error");
  for (const char* dtype : {"BOOL", "U8", "I8", "I16", "U16", "F16", "BF16", "I32", "U32", "F32",
                            "I64", "U64", "F64", "C64", "F8_E4M3", "F8_E5M2", "F4"}) {
    EXPECT_EQ(refusal(one(dtype, "[0]", "[0,0]"), 0), "no error") << dtype;
  }
}

TEST(Safetensors, KeepsEntriesAliveInCopies) {
  SafetensorsFile copy = SafetensorsFile::open(test_data("float32.safetensors"));
  {
    const SafetensorsFile original = parse(one("F32", "[1]", "[0,4]"), 4);
    copy = original;
  }
  EXPECT_EQ(copy.entries()[0].data, "\1\1\1\1");
}

TEST(Safetensors, RefusesToWriteWhatItCouldNotRead) {
  const ScratchFolder folder;
  const auto error = [&](const std::vector<SafetensorsEntry>& entries, const Metadata& data = {}) {
    return error_of([&] { write_safetensors(folder / "f", entries, data); });
  };
  EXPECT_THAT(error({{"a", "F99", {}, ""}}), HasSubstr("tensor \"a\" has unknown dtype \"F99\""));
  EXPECT_THAT(error({{"a", "U8", {2}, "x"}}), HasSubstr("tensor \"a\" has 1 bytes"));
  EXPECT_THAT(error({{"a", "U8", {-1, -1}, "x"}}), HasSubstr("a dimension of -1"));
  EXPECT_THAT(error({{"\xff", "U8", {1}, "x"}}), HasSubstr("not UTF-8"));
  EXPECT_THAT(error({{"__metadata__", "U8", {1}, "x"}}), HasSubstr("no tensor may be named"));
  EXPECT_THAT(error({{"a", "U8", {1}, "x"}, {"a", "F32", {}, "abcd"}}),
              HasSubstr("two tensors are named \"a\""));
  EXPECT_THAT(error({}, {{"k", "\xff"}}), HasSubstr("metadata of \"k\" is not UTF-8"));
  EXPECT_EQ(folder.count(), 0);
  EXPECT_THAT(error_of([] { write_safetensors("/dev/full", {}); }),
              HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace maskgrad
