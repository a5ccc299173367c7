#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;
using test::test_data;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TensorFile, LoadsWhatTheReferenceWrote) {
  const auto tensors = load_tensors(test_data("float32.safetensors"));
  ASSERT_EQ(tensors.size(), 3U);
  const Tensor& weight = tensors.at("b.weight");
  EXPECT_EQ(weight.shape(), (Shape{2, 3}));
  EXPECT_THAT(weight.values<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(tensors.at("a").shape(), Shape{});
  EXPECT_EQ(tensors.at("a").item(), -1.5);
  EXPECT_EQ(tensors.at("q\"\\\n\x01é").shape(), (Shape{0, 2}));
}

TEST(TensorFile, RoundTripsEveryDtypeBitByBit) {
  const ScratchFolder folder;
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::map<std::string, Tensor> tensors = {
      {"float32", Tensor::from<float>({kNan, -0.0f, 1e-45f}, {3})},
      {"float64", Tensor::from<double>({-1e300, 0.1}, {2, 1})},
      {"int32", Tensor::from<std::int32_t>({-5}, {})},
      {"int64", Tensor::from<std::int64_t>({std::numeric_limits<std::int64_t>::min(), 1}, {2})},
      {"bool", Tensor::from<bool>({true, false, true}, {3})},
      {"empty", Tensor::empty({4, 0}, DType::kFloat64)}};
  save_tensors(folder / "f", tensors, {{"step", "3"}});
  const auto loaded = load_tensors(folder / "f");
  ASSERT_EQ(loaded.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(is_identical(loaded.at(name), tensor)) << name;
  }
  EXPECT_EQ(SafetensorsFile::open(folder / "f").metadata().at("step"), "3");
}

TEST(TensorFile, WritesEqualTensorsAsEqualBytes) {
  const ScratchFolder folder;
  const std::map<std::string, Tensor> tensors = {{"a", Tensor::full({3}, 1, DType::kFloat32)},
                                                 {"b", Tensor::full({2}, 2, DType::kInt64)}};
  save_tensors(folder / "f", tensors);
  save_tensors(folder / "g", load_tensors(folder / "f"));
  EXPECT_EQ(read_file(folder / "f"), read_file(folder / "g"));
}

TEST(TensorFile, TakesAnyByteButZeroAsTrue) {
  const ScratchFolder folder;
  const std::string bytes("\x00\x01\x02\xff", 4);
  const std::vector<SafetensorsEntry> entries = {{"b", "BOOL", {4}, bytes}};
  write_safetensors(folder / "f", entries);
  const Tensor loaded = load_tensors(folder / "f").at("b");
  EXPECT_EQ(std::memcmp(loaded.raw_data(), "\x00\x01\x01\x01", 4), 0);
}

TEST(TensorFile, LoadsNumbersOf16BitsAsFloat32) {
  const ScratchFolder folder;
  const std::string bytes("\x00\x3c\x01\x00\xff\xfb\x00\x7c", 8);
  const std::vector<SafetensorsEntry> entries = {
      {"half", "F16", {2, 2}, bytes}, {"brain", "BF16", {4}, bytes}, {"none", "F16", {0}, ""}};
  write_safetensors(folder / "f", entries);
  const auto loaded = load_tensors(folder / "f");
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(loaded.at("half").shape(), (Shape{2, 2}));
  EXPECT_THAT(loaded.at("half").values<float>(), ElementsAre(1, 0x1p-24f, -65504, kInf));
  EXPECT_THAT(loaded.at("brain").values<float>(),
              ElementsAre(0x1p-7f, 0x1p-133f, -0x1.fep120f, 0x1p121f));
  EXPECT_EQ(loaded.at("none").dtype(), DType::kFloat32);
}

TEST(TensorFile, StoresFloatsIn16BitsWhenAsked) {
  const ScratchFolder folder;
  const std::map<std::string, Tensor> tensors = {
      {"a", Tensor::from<float>({1.0009766f, -0.1f, 1e-8f, -0.0f}, {4})},
      {"b", Tensor::from<double>({1e300 * 1e300, 3.14159265358979}, {2})},
      {"c", Tensor::from<std::int64_t>({7}, {})},
      {"empty", Tensor::empty({0, 2}, DType::kFloat32)}};
  save_tensors(folder / "half", tensors, {}, StoreFloats::kAsFloat16);
  save_tensors(folder / "brain", tensors, {}, StoreFloats::kAsBFloat16);
  std::map<std::string, std::string> dtypes;
  const auto file = SafetensorsFile::open(folder / "half");
  for (const SafetensorsEntry& entry : file.entries()) dtypes[entry.name] = entry.dtype;
  EXPECT_EQ(dtypes, (std::map<std::string, std::string>{
                        {"a", "F16"}, {"b", "F16"}, {"c", "I64"}, {"empty", "F16"}}));
  EXPECT_TRUE(file.has_digest());
  const auto half = load_tensors(folder / "half"), brain = load_tensors(folder / "brain");
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(half.at("a").values<float>(), ElementsAre(1.0009765625f, -0.0999755859375f, 0, 0));
  EXPECT_TRUE(std::signbit(half.at("a").values<float>()[3]));
  EXPECT_THAT(half.at("b").values<float>(), ElementsAre(kInf, 3.140625f));
  EXPECT_THAT(brain.at("b").values<float>(), ElementsAre(kInf, 3.140625f));
  EXPECT_EQ(half.at("c").item<std::int64_t>(), 7);
  EXPECT_EQ(half.at("empty").shape(), (Shape{0, 2}));
}

TEST(TensorFile, NamesTheNumberThatIsTooLargeFor16Bits) {
  const ScratchFolder folder;
  const auto error = [&](const Tensor& tensor, StoreFloats store) {
    return error_of([&] {
      save_tensors(folder / "f", {{"fits", Tensor::full({}, 1, DType::kFloat32)}, {"w", tensor}},
                   {}, store);
    });
  };
  const std::string file = "[safetensors] '" + (folder / "f").string() + "': tensor \"w\" holds ";
  EXPECT_EQ(error(Tensor::from<float>({1, 65519, -70000}, {3}), StoreFloats::kAsFloat16),
            file + "-70000 at element 2, more than F16 holds");
  EXPECT_EQ(error(Tensor::from<double>({1e39}, {1}), StoreFloats::kAsBFloat16),
            file + "1e+39 at element 0, more than BF16 holds");
  EXPECT_EQ(error(Tensor::from<double>({1e38}, {1}), StoreFloats::kAsBFloat16), "no error");
}

TEST(TensorFile, NamesTheTensorAndDtypeItCannotHold) {
  const ScratchFolder folder;
  const std::vector<SafetensorsEntry> byte = {{"w", "U8", {1}, "x"}};
  write_safetensors(folder / "f", byte);
  EXPECT_EQ(error_of([&] { load_tensors(folder / "f"); }),
            "[safetensors] '" + (folder / "f").string() +
                "': tensor \"w\" has dtype U8, not one of F32, F64, F16, BF16, I32, I64, BOOL");
  const std::vector<SafetensorsEntry> deep = {{"w", "F32", {1, 1, 1, 1, 1, 1, 1, 1, 1}, "xxxx"}};
  write_safetensors(folder / "f", deep);
  EXPECT_THAT(error_of([&] { load_tensors(folder / "f"); }),
              HasSubstr("tensor \"w\" has 9 dimensions, more than 8"));
}

TEST(TensorFile, RefusesANameGivenTwice) {
  const std::string entry = R"("a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  const std::string header = "{" + entry + "," + entry + "}";
  std::string bytes;
  append_little_endian(bytes, static_cast<std::uint64_t>(header.size()));
  const SafetensorsFile file(bytes + header, "f");
  EXPECT_EQ(error_of([&] { load_tensors(file, "f"); }),
            "[safetensors] 'f': the header gives \"a\" twice");
}

TEST(TensorFile, RefusesATensorWithoutValues) {
  const ScratchFolder folder;
  EXPECT_THAT(error_of([&] {
                save_tensors(folder / "f", {{"a", Tensor()}});
              }),
              HasSubstr("tensor \"a\""));
  EXPECT_EQ(folder.count(), 0);
}

}  // namespace
}  // namespace maskgrad
