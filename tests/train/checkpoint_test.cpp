#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/optim/adam.hpp>

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

// Of a toy run of one epoch, three steps, and two steps that counted nothing.
const TrainState kState = {5, {1, 2}, {{"loss", 1.0 / 3.0, 8}, {"accuracy", 0, 0}}, 2};
// Of a toy run that has not begun.
const TrainState kStart = {};

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
      const TrainState state =
          load_checkpoint(folder / "c", *other.parameters, *other.optimizer).state;
      expect_same(contents_of(toy), contents_of(other));
      EXPECT_EQ(state.step, 5);
      EXPECT_EQ(state.position, (DataPosition{1, 2}));
      ASSERT_EQ(state.totals.size(), 2U);
      EXPECT_EQ(state.totals[0].name, "loss");
      EXPECT_EQ(state.totals[0].sum, 1.0 / 3.0);
      EXPECT_EQ(state.totals[0].count, 8);
      EXPECT_EQ(state.totals[1].name, "accuracy");
      EXPECT_EQ(state.skipped, 2);
    }
  }
}

TEST(Checkpoint, IsASafetensorsFileWithOneTensorForEachParameterAndMoment) {
  const ScratchFolder folder;
  ToyRun toy({});
  save_checkpoint(folder / "c", kStart, *toy.parameters, *toy.optimizer);
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
  save_checkpoint(path, kStart, *from.parameters, *from.optimizer);
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
  save_checkpoint(folder / "c", kStart, *toy.parameters, *toy.optimizer);
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
  save_checkpoint(folder / "whole", kStart, *toy.parameters, *toy.optimizer);
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

TEST(Checkpoint, KeepsMetricsOfAnyNameAndValue) {
  const ScratchFolder folder;
  ToyRun toy({});
  TrainState state;
  const double inf = std::numeric_limits<double>::infinity();
  for (const char* name :
       {"val/loss", "a=b;c/d", "say \"x\"\\", "two\nlines", "", "\xff\xee\xbe\x80"}) {
    state.totals.push_back({name, 1.0 / 3.0, 7});
  }
  for (const double sum : {0.0, -0.0, 1e308, -5e-324, 1e22, 0.1, inf, -inf}) {
    state.totals.push_back({"sum", sum, INT64_MAX / 2});
  }
  state.totals.push_back({"nan", std::nan(""), 0});
  save_checkpoint(folder / "c", state, *toy.parameters, *toy.optimizer);
  const TrainState loaded = load_checkpoint(folder / "c", *toy.parameters, *toy.optimizer).state;
  ASSERT_EQ(loaded.totals.size(), state.totals.size());
  for (std::size_t i = 0; i < state.totals.size(); ++i) {
    EXPECT_EQ(loaded.totals[i].name, state.totals[i].name);
    EXPECT_EQ(loaded.totals[i].count, state.totals[i].count);
    if (std::isnan(state.totals[i].sum))
      EXPECT_TRUE(std::isnan(loaded.totals[i].sum));
    else
      EXPECT_EQ(std::bit_cast<std::uint64_t>(loaded.totals[i].sum),
                std::bit_cast<std::uint64_t>(state.totals[i].sum));
  }
}

TEST(Checkpoint, DoesNotSaveAStateThatItWouldRefuse) {
  const ScratchFolder folder;
  ToyRun toy({});
  const auto saving = [&](const TrainState& state, const char* name = "c") {
    return error_of(
        [&] { save_checkpoint(folder / name, state, *toy.parameters, *toy.optimizer); });
  };
  EXPECT_THAT(saving({3, {1, 0}, {}}),
              ::testing::HasSubstr("the optimizer has made 0 steps, the run 3"));
  EXPECT_THAT(saving({3, {5, 0}, {}, 3}), ::testing::HasSubstr("contradicts itself"));
  EXPECT_THAT(saving({0, {0, 0}, {{"loss", 0, -1}}}), ::testing::HasSubstr("counts -1"));
  EXPECT_THAT(saving({}, "step_000000000003.safetensors"),
              ::testing::HasSubstr("holds the state after 0 steps"));
  EXPECT_EQ(folder.count(), 0);
}

TEST(Checkpoint, RefusesAFileThatBearsTheNameOfAnotherStep) {
  const ScratchFolder folder;
  ToyRun toy({});
  toy.run();
  save_checkpoint(folder / "step_000000000003.safetensors", {3, {1, 0}, {}}, *toy.parameters,
                  *toy.optimizer);
  fs::rename(folder / "step_000000000003.safetensors", folder / "step_000000000004.safetensors");
  EXPECT_THAT(error_of([&] {
                load_checkpoint(folder / "step_000000000004.safetensors", *toy.parameters,
                                *toy.optimizer);
              }),
              ::testing::HasSubstr("holds the state after 3 steps: it was renamed"));
}

TEST(Checkpoint, KeepsTheBestWeightsBesideTheOthers) {
  for (const DType dtype : test::kFloatingDTypes) {
    const ScratchFolder folder;
    ToyRun toy({.dtype = dtype});
    toy.best = {.values = toy.parameters->values().clone(),
                .step = 2,
                .loss = 1.0 / 3.0,
                .since = 1,
                .data = "ten samples"};
    toy.run();
    save_checkpoint(folder / "c", toy.trainer->state(), *toy.parameters, *toy.optimizer, {},
                    nullptr, &toy.best);
    ToyRun other({.dtype = dtype, .seed = 2});
    load_checkpoint(folder / "c", *other.parameters, *other.optimizer, nullptr, &other.best);
    EXPECT_TRUE(same_bits(other.parameters->values(), toy.parameters->values()));
    EXPECT_TRUE(same_bits(other.best.values, toy.best.values));
    EXPECT_FALSE(same_bits(other.best.values, toy.parameters->values()));
    EXPECT_EQ(other.best.loss, 1.0 / 3.0);
    EXPECT_EQ(other.best.note(), toy.best.note());
    EXPECT_THAT(
        error_of([&] { load_checkpoint(folder / "c", *other.parameters, *other.optimizer); }),
        ::testing::EndsWith("holds 'best/dense.bias', which the run does not have"));
    save_checkpoint(folder / "without", toy.trainer->state(), *toy.parameters, *toy.optimizer);
    load_checkpoint(folder / "without", *other.parameters, *other.optimizer, nullptr, &other.best);
    EXPECT_FALSE(other.best.defined());
  }
}

TEST(Checkpoint, RefusesANoteOfBestWeightsWithoutThem) {
  const ScratchFolder folder;
  ToyRun toy({});
  const auto loading = [&](const Notes& notes) {
    save_checkpoint(folder / "c", {}, *toy.parameters, *toy.optimizer, notes);
    return error_of([&] {
      load_checkpoint(folder / "c", *toy.parameters, *toy.optimizer, nullptr, &toy.best);
    });
  };
  const auto loading_with = [&](const std::string& note) {
    return loading({{kValidationNote, note}});
  };
  EXPECT_THAT(loading_with("0 0.5 0 data"),
              ::testing::EndsWith("has no tensor 'best/embed.weight'"));
  EXPECT_THAT(loading_with("1 0.5 0 data"),
              ::testing::HasSubstr("is not one of validation after 0 steps"));
  for (const char* note : {"0 0.5 ends data", "0 end 0 data", "0 0.5 -1 data"}) {
    EXPECT_THAT(loading_with(note), ::testing::EndsWith("is not one of validation after 0 steps"))
        << note;
  }
  for (const auto& [best, regular] :
       {std::pair("0 0.5 0 data", "0 0.5 0 data"), {"0 0.5 end data", "0 0.5 end data"}}) {
    EXPECT_THAT(loading({{kValidationNote, best}, {kRegularValidationNote, regular}}),
                ::testing::EndsWith("the notes of validation contradict each other"));
  }
}

TEST(Checkpoint, OfATimeWithoutBestWeightsHasNone) {
  const ScratchFolder folder;
  ToyRun toy({});
  save_checkpoint(folder / "c", {}, *toy.parameters, *toy.optimizer,
                  {{kValidationNote, "0 0.5 0"}});
  load_checkpoint(folder / "c", *toy.parameters, *toy.optimizer, nullptr, &toy.best);
  EXPECT_FALSE(toy.best.defined());
}

TEST(Checkpoint, KeepsNotesOfAnyBytes) {
  const ScratchFolder folder;
  ToyRun toy({});
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  const Notes notes = {
      {"settings", "lr = 0.5\n"}, {all_bytes, all_bytes + "ü" + "\xee\xbf\xbf"}, {"", ""}};
  save_checkpoint(folder / "c", {}, *toy.parameters, *toy.optimizer, notes);
  EXPECT_EQ(load_checkpoint(folder / "c", *toy.parameters, *toy.optimizer).notes, notes);
  EXPECT_EQ(read_notes(folder / "c"), notes);
}

TEST(Checkpoint, FindsEveryFlippedBit) {
  const ScratchFolder folder;
  ToyRun toy({});
  save_checkpoint(folder / "whole", {}, *toy.parameters, *toy.optimizer, {{"key", "value"}});
  const std::string bytes = read_file(folder / "whole");
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 3) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    EXPECT_NE(error_of([&] { SafetensorsFile(flipped, "f"); }), "no error") << bit;
  }
}

}  // namespace
}  // namespace maskgrad
