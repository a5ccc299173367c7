#include <algorithm>
#include <cmath>
#include <map>

#include <gmock/gmock.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/model_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::same_bits;
using test::ScratchFolder;
using test::ToyRun;

void expect_weights_of(const ToyRun& toy, const std::map<std::string, Tensor>& tensors) {
  const auto want = toy.parameters->named_values();
  ASSERT_EQ(tensors.size(), want.size());
  for (const auto& [name, tensor] : want) EXPECT_TRUE(same_bits(tensors.at(name), tensor)) << name;
}

TEST(ModelFile, ComesBackWithItsNotes) {
  const ScratchFolder folder;
  const ToyRun toy({});
  const Notes notes = {{"recipe", "toy"}, {"path", "/a\xff\n"}};
  save_model(folder / "m", *toy.parameters, notes);
  const ModelFile model = load_model(folder / "m");
  expect_weights_of(toy, model.tensors);
  EXPECT_EQ(model.notes, notes);
  EXPECT_EQ(read_notes(folder / "m"), notes);
  EXPECT_TRUE(SafetensorsFile::open(folder / "m").has_digest());
}

TEST(ModelFile, GivesTheWeightsOfACheckpoint) {
  const ScratchFolder folder;
  const ToyRun toy({});
  save_checkpoint(folder / "c", {}, *toy.parameters, *toy.optimizer, {{"key", "value"}});
  const ModelFile model = load_model(folder / "c");
  expect_weights_of(toy, model.tensors);
  EXPECT_EQ(model.notes, (Notes{{"key", "value"}}));
}

TEST(ModelFile, OfNumbersOf16BitsLoadsIntoEitherDtype) {
  for (const DType dtype : test::kFloatingDTypes) {
    const ScratchFolder folder;
    const ToyRun toy({.dtype = dtype});
    std::map<std::string, Tensor> before;
    for (const auto& [name, tensor] : toy.parameters->named_values()) before[name] = tensor.clone();
    save_model(folder / "m", *toy.parameters, {{"key", "value"}}, StoreFloats::kAsFloat16);
    const auto file = SafetensorsFile::open(folder / "m");
    for (const SafetensorsEntry& entry : file.entries()) EXPECT_EQ(entry.dtype, "F16");
    EXPECT_EQ(load_model(folder / "m").notes, (Notes{{"key", "value"}}));
    load_weights(folder / "m", *toy.parameters);
    for (const auto& [name, tensor] : toy.parameters->named_values()) {
      EXPECT_EQ(tensor.dtype(), dtype);
      const auto want = test::to_doubles(before.at(name)), got = test::to_doubles(tensor);
      for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_NEAR(got[i], want[i], std::max(std::abs(want[i]) * 0x1p-11, 0x1p-25));
      }
    }
  }
}

TEST(ModelFile, IsAnySafetensorsFileOfAnotherProgram) {
  const auto model = load_model(test::test_data("float32.safetensors"));
  EXPECT_EQ(model.tensors.size(), 3U);
  EXPECT_TRUE(model.notes.empty());
  EXPECT_THAT(error_of([] { read_notes(test::test_data("float32.safetensors")); }),
              ::testing::HasSubstr("is no checkpoint"));
}

TEST(ModelFile, IsRefusedWhenANewerProgramWroteItOrItIsDamaged) {
  const ScratchFolder folder;
  save_tensors(folder / "m", {}, {{"format", "maskgrad model 3"}});
  EXPECT_EQ(error_of([&] { load_model(folder / "m"); }),
            "[model] '" + (folder / "m").string() +
                "' has format \"maskgrad model 3\", and this maskgrad reads 'maskgrad model 2': "
                "take a newer one");
  save_tensors(folder / "c", {}, {{"format", "maskgrad checkpoint 3"}});
  EXPECT_THAT(error_of([&] { load_model(folder / "c"); }),
              ::testing::HasSubstr("take a newer one"));
  const ToyRun toy({});
  save_model(folder / "m", *toy.parameters, {});
  std::string bytes = read_file(folder / "m");
  bytes.back() ^= 4;
  write_file(folder / "m", bytes);
  EXPECT_THAT(error_of([&] { load_model(folder / "m"); }),
              ::testing::HasSubstr("the file is damaged"));
}

TEST(ModelFile, ThatIsRefusedLeavesTheWeightsAsTheyWere) {
  const ScratchFolder folder;
  ToyRun toy({.dtype = DType::kFloat32});
  ModelFile model = {toy.parameters->named_values(), {}};
  std::map<std::string, Tensor> before;
  for (auto& [name, tensor] : model.tensors) {
    before[name] = tensor.clone();
    tensor = Tensor::full(tensor.shape(), 1, DType::kFloat64);
  }
  model.tensors.rbegin()->second.data<double>()[0] = 1e300;
  EXPECT_THAT(error_of([&] { load_weights(model, folder / "m", *toy.parameters); }),
              ::testing::EndsWith("is more than float32 holds"));
  expect_weights_of(toy, before);
}

}  // namespace
}  // namespace maskgrad
