#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::same_bits;
using test::ScratchFolder;
using test::ToyOptions;
using test::ToyRun;

const TrainState kState = {5, {1, 2}, {{"loss", 1.0 / 3.0, 8}, {"accuracy", 0, 0}}};

// What a checkpoint must put back, or leave alone.
struct Contents {
  Tensor values;
  std::map<std::string, Tensor> state;
  std::int64_t steps;
};

Contents contents_of(const ToyRun& toy) {
  std::map<std::string, Tensor> state;
  for (const auto& [name, tensor] : toy.optimizer->state()) state[name] = tensor.clone();
  return {toy.parameters->values().clone(), state, toy.optimizer->steps()};
}

void expect_same(const Contents& a, const Contents& b) {
  EXPECT_TRUE(same_bits(a.values, b.values));
  EXPECT_EQ(a.steps, b.steps);
  ASSERT_EQ(a.state.size(), b.state.size());
  for (const auto& [name, tensor] : a.state)
    EXPECT_TRUE(same_bits(tensor, b.state.at(name))) << name;
}

TEST(Checkpoint, PutsBackWeightsOptimizerAndState) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const bool sgd : {false, true}) {
      const ScratchFolder folder;
      ToyRun toy({.dtype = dtype, .sgd = sgd});
      toy.run();
      save_checkpoint(folder / "c", kState, *toy.parameters, *toy.optimizer);
      ToyRun other({.dtype = dtype, .sgd = sgd, .seed = 2});
      const TrainState state = load_checkpoint(folder / "c", *other.parameters, *other.optimizer);
      expect_same(contents_of(toy), contents_of(other));
      EXPECT_EQ(state.step, 5);
      EXPECT_EQ(state.position, (DataPosition{1, 2}));
      ASSERT_EQ(state.totals.size(), 2U);
      EXPECT_EQ(state.totals[0].name, "loss");
      EXPECT_EQ(state.totals[0].sum, 1.0 / 3.0);
      EXPECT_EQ(state.totals[0].count, 8);
      EXPECT_EQ(state.totals[1].name, "accuracy");
    }
  }
}

TEST(Checkpoint, IsASafetensorsFileWithOneTensorForEachParameterAndMoment) {
  const ScratchFolder folder;
  ToyRun toy({});
  save_checkpoint(folder / "c", kState, *toy.parameters, *toy.optimizer);
  const std::map<std::string, Tensor> tensors = load_tensors(folder / "c");
  EXPECT_EQ(tensors.size(), 9U);
  for (const auto& [name, value] : toy.parameters->named_values()) {
    EXPECT_TRUE(same_bits(tensors.at("model/" + name), value));
    EXPECT_EQ(tensors.at("optimizer.m/" + name).shape(), value.shape());
    EXPECT_EQ(tensors.at("optimizer.r/" + name).shape(), value.shape());
  }
}

// The error of loading a run of `saved` into a run of `wanted`, which must not change.
std::string loading(const ToyOptions& saved, const ToyOptions& wanted) {
  const ScratchFolder folder;
  const fs::path path = folder / "c";
  const ToyRun from(saved);
  save_checkpoint(path, kState, *from.parameters, *from.optimizer);
  ToyRun to(wanted);
  const Contents before = contents_of(to);
  std::string text = error_of([&] { load_checkpoint(path, *to.parameters, *to.optimizer); });
  expect_same(before, contents_of(to));
  const auto at = text.find(path.string());
  EXPECT_NE(at, std::string::npos) << "the file is not named: " << text;
  return at == std::string::npos ? text : text.replace(at, path.string().size(), "FILE");
}

TEST(Checkpoint, RefusesARunItIsNotOfByNameAndChangesNothing) {
  EXPECT_EQ(loading({.width = 6}, {}),
            "[checkpoint] 'FILE': 'model/dense.weight' is float64 (12, 6), the run's is float64 "
            "(12, 5)");
  EXPECT_EQ(loading({.dtype = DType::kFloat32}, {}),
            "[checkpoint] 'FILE': 'model/embed.weight' is float32 (5, 4), the run's is float64 "
            "(5, 4)");
  EXPECT_EQ(loading({.sgd = true}, {}),
            "[checkpoint] 'FILE' has no tensor 'optimizer.m/embed.weight'");
  EXPECT_EQ(loading({}, {.sgd = true}),
            "[checkpoint] 'FILE' has no tensor 'optimizer.u/embed.weight'");
}

TEST(Checkpoint, RefusesAModelThatLacksOneOfItsTensors) {
  const ScratchFolder folder;
  const ToyRun toy({});
  save_checkpoint(folder / "c", kState, *toy.parameters, *toy.optimizer);
  Sequential smaller;
  smaller.add<Embed>("embed", 5, 4);
  ParameterBuffer parameters(smaller, DType::kFloat64, 1);
  Adam adam(parameters);
  const Tensor before = parameters.values().clone();
  EXPECT_EQ(error_of([&] { load_checkpoint(folder / "c", parameters, adam); }),
            "[checkpoint] '" + (folder / "c").string() +
                "' holds 'model/dense.bias', which the run does not have");
  EXPECT_TRUE(same_bits(parameters.values(), before));
}

TEST(Checkpoint, RefusesAFileThatIsCutShortAnywhere) {
  const ScratchFolder folder;
  ToyRun toy({});
  save_checkpoint(folder / "whole", kState, *toy.parameters, *toy.optimizer);
  const std::string bytes = read_file(folder / "whole");
  const Contents before = contents_of(toy);
  for (std::size_t size = 0; size < bytes.size(); size += 97) {
    fs::remove(folder / "cut");
    std::ofstream(folder / "cut", std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(size));
    EXPECT_THAT(error_of([&] { load_checkpoint(folder / "cut", *toy.parameters, *toy.optimizer); }),
                ::testing::AllOf(::testing::StartsWith("["), ::testing::HasSubstr("cut'")));
  }
  expect_same(before, contents_of(toy));
}

TEST(Checkpoint, RefusesWhatIsNone) {
  const ScratchFolder folder;
  ToyRun toy({});
  const std::string name = (folder / "c").string();
  const auto load = [&](const Metadata& metadata) {
    save_tensors(folder / "c", {}, metadata);
    return error_of([&] { load_checkpoint(folder / "c", *toy.parameters, *toy.optimizer); });
  };
  Metadata metadata = {{"format", "maskgrad checkpoint 1"},
                       {"step", "1"},
                       {"epoch", "0"},
                       {"batch", "0"},
                       {"optimizer_steps", "1"},
                       {"totals", ""}};
  EXPECT_EQ(load({}), "[checkpoint] '" + name + "' has no 'format' among its metadata");
  EXPECT_EQ(load({{"format", "x"}}),
            "[checkpoint] '" + name + "' has format 'x', not 'maskgrad checkpoint 1'");
  metadata["step"] = "1x";
  EXPECT_EQ(load(metadata), "[checkpoint] '" + name + "': '1x' of 'step' is no number");
  metadata["step"] = "1";
  for (const char* totals : {"loss", "loss=1", "loss/1", "loss/1=1", ";", "=;/"}) {
    metadata["totals"] = totals;
    EXPECT_THAT(load(metadata), ::testing::HasSubstr("among the totals is not name=sum/count"));
  }
  metadata["totals"] = "loss=a/1";
  EXPECT_EQ(load(metadata), "[checkpoint] '" + name + "': 'a' of 'totals' is no number");
  EXPECT_EQ(error_of([&] { load_checkpoint(folder / "none", *toy.parameters, *toy.optimizer); }),
            "[file] cannot open '" + (folder / "none").string() + "': No such file or directory");
}

TEST(CheckpointCallback, KeepsTheNewestThree) {
  const ScratchFolder folder;
  std::ofstream(folder / "notes.txt") << "stays";
  EXPECT_EQ(latest_checkpoint(folder.path()), std::nullopt);
  EXPECT_EQ(latest_checkpoint(folder / "none"), std::nullopt);
  ToyRun toy({.training = {.epochs = 5}});
  toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
  toy.run();
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("step_000000000009.safetensors",
                                                     "step_000000000012.safetensors",
                                                     "step_000000000015.safetensors", "notes.txt"));
  EXPECT_EQ(latest_checkpoint(folder.path()), folder / "step_000000000015.safetensors");
}

}  // namespace
}  // namespace maskgrad
