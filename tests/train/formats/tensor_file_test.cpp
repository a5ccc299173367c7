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

TEST(TensorFile, NamesTheTensorAndDtypeItCannotHold) {
  const ScratchFolder folder;
  const std::vector<SafetensorsEntry> half = {{"w", "F16", {1}, "xx"}};
  write_safetensors(folder / "f", half);
  EXPECT_EQ(error_of([&] { load_tensors(folder / "f"); }),
            "[safetensors] '" + (folder / "f").string() +
                "': tensor \"w\" has dtype F16, not one of F32, F64, I32, I64, BOOL");
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
