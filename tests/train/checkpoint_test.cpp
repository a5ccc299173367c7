#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
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

// The error of loading a file without tensors and with this metadata, called FILE.
class CheckpointMetadata : public ::testing::Test {
 protected:
  std::string load(const Metadata& metadata) {
    save_tensors(path_, {}, metadata);
    std::string text = error_of([&] { load_checkpoint(path_, *toy_.parameters, *toy_.optimizer); });
    const auto at = text.find(path_.string());
    return at == std::string::npos ? text : text.replace(at, path_.string().size(), "FILE");
  }
  std::string load(const std::string& key, const std::string& value) {
    Metadata changed = good_;
    changed[key] = value;
    return load(changed);
  }

  // Nothing is wrong with these but that there are no tensors.
  const Metadata good_ = {{"format", "maskgrad checkpoint 2"},
                          {"step", "7"},
                          {"epoch", "2"},
                          {"batch", "1"},
                          {"skipped", "3"},
                          {"optimizer_steps", "4"},
                          {"totals", R"([["loss",0.5,2]])"}};

 private:
  ScratchFolder folder_;
  std::filesystem::path path_ = folder_ / "c";
  ToyRun toy_{ToyOptions{}};
};

TEST_F(CheckpointMetadata, RefusesFilesThatAreNoneAndNamesTheVersion) {
  EXPECT_EQ(load(good_), "[checkpoint] 'FILE' has no tensor 'model/embed.weight'");
  const std::string none =
      "[checkpoint] 'FILE' is no checkpoint: its metadata do not have format 'maskgrad checkpoint "
      "2'";
  EXPECT_EQ(load({}), none);
  EXPECT_EQ(load("format", "x"), none);
  EXPECT_EQ(load("format", "maskgrad model 2"), none);
  EXPECT_EQ(load("format", "maskgrad checkpoint 1"),
            "[checkpoint] 'FILE' has format 'maskgrad checkpoint 1', of an earlier maskgrad: go on "
            "with that one, or take only the weights into a new run");
  EXPECT_EQ(load("format", "maskgrad checkpoint 3"),
            "[checkpoint] 'FILE' has format \"maskgrad checkpoint 3\", and this maskgrad reads "
            "'maskgrad checkpoint 2': take a newer one");
}

TEST_F(CheckpointMetadata, RefusesNumbersThatAreNone) {
  for (const auto& [key, value] : good_) {
    if (key == "format") continue;
    Metadata without = good_;
    without.erase(key);
    EXPECT_EQ(load(without), "[checkpoint] 'FILE' has no '" + key + "' among its metadata");
    if (key == "totals") continue;
    for (const char* text : {"", "x", "1x", " 1", "1.0", "99999999999999999999"}) {
      EXPECT_THAT(load(key, text), ::testing::HasSubstr("of '" + key + "' is no whole number"));
    }
  }
}

TEST_F(CheckpointMetadata, RefusesNumbersThatContradictEachOther) {
  for (const char* key : {"step", "epoch", "batch", "skipped", "optimizer_steps"}) {
    for (const char* value : {"-1", "8", "9223372036854775807", "-9223372036854775808"}) {
      EXPECT_THAT(load(key, value), ::testing::StartsWith("[checkpoint] 'FILE' contradicts itself"))
          << key << " " << value;
    }
  }
  Metadata first_epoch = good_;
  first_epoch["epoch"] = "0";
  EXPECT_THAT(load(first_epoch), ::testing::HasSubstr("7 steps do not reach batch 1 of epoch 0"));
  first_epoch["batch"] = "7";
  EXPECT_THAT(load(first_epoch), ::testing::HasSubstr("has no tensor"));
}

TEST_F(CheckpointMetadata, RefusesTotalsThatAreNone) {
  for (const char* totals :
       {"", "{}", "[", "[[]]", R"([["a"]])", R"([["a",1]])", R"([["a",1,2,3]])", R"([["a",1,-2]])",
        R"([["a","x",1]])", R"([["a","1",1]])", R"([["a",1,1.5]])", R"([[1,1,1]])", "[] x",
        R"([["a",1e999,1]])", R"([["a",1,9223372036854775808]])", "loss=1/2"}) {
    EXPECT_THAT(load("totals", totals), ::testing::HasSubstr("'FILE': totals byte ")) << totals;
  }
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
    state.totals.push_back({"sum", sum, INT64_MAX});
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

TEST(Checkpoint, KnowsAPositionThatNoRunReaches) {
  const auto error = [](std::int64_t step, DataPosition position, std::int64_t batches) {
    return error_of([&] { check_position({step, position, {}}, batches, "c"); });
  };
  EXPECT_EQ(error(0, {0, 0}, 1), "no error");
  EXPECT_EQ(error(17, {3, 2}, 5), "no error");
  EXPECT_EQ(error(17, {3, 3}, 5),
            "[checkpoint] c: 17 steps do not lead to batch 3 of epoch 3, of 5 batches each");
  EXPECT_NE(error(17, {2, 7}, 5), "no error") << "7 is beyond the epoch's last batch";
  EXPECT_NE(error(15, {2, 5}, 5), "no error") << "that is batch 0 of the next epoch";
  EXPECT_NE(error(0, {INT64_MAX, 0}, INT64_MAX), "no error");
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

TEST(CheckpointCallback, SavesTheNotesOfItsOwnerAndOfTheOtherCallbacks) {
  class Noting : public Callback {
    void add_notes(Notes& notes) const override { notes["callback"] = "said"; }
  };
  const ScratchFolder folder;
  ToyRun toy({});
  toy.trainer->add(std::make_unique<Noting>());
  toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path(), [] {
    return Notes{{"settings", "lr = 1"}};
  }));
  toy.run();
  EXPECT_EQ(read_notes(folder / "step_000000000003.safetensors"),
            (Notes{{"callback", "said"}, {"settings", "lr = 1"}}));
}

TEST(CheckpointCallback, DoesNotBeginARunAmongTheCheckpointsOfAnother) {
  const ScratchFolder folder;
  for (const bool is_first : {true, false}) {
    ToyRun toy({});
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder.path()));
    EXPECT_THAT(
        error_of([&] { toy.run(); }),
        ::testing::HasSubstr(is_first ? "no error" : "holds the checkpoints of another run"));
  }
}

// Three checkpoints of a run, at 3, 6 and 9 steps.
class LatestCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override { train({}, 3); }

  void train(const ToyRun::Prepare& prepare, std::int64_t epochs) {
    ToyRun toy({.training = {.epochs = epochs}}, {}, prepare);
    toy.trainer->add(std::make_unique<CheckpointCallback>(folder_.path()));
    toy.run();
  }
  fs::path path(int step) const {
    return folder_.path() / fmt::format("step_{:012}.safetensors", step);
  }
  void flip_a_bit(int step) const {
    std::string bytes = read_file(path(step));
    bytes[bytes.size() - 5] ^= 1;
    write_file(path(step), bytes);
  }
  std::optional<Checkpoint> load(ParameterBuffer& parameters, Optimizer& optimizer) {
    return load_latest_checkpoint(folder_.path(), parameters, optimizer,
                                  [&](const std::string& text) { warnings_.push_back(text); });
  }

  ScratchFolder folder_;
  std::vector<std::string> warnings_;
};

TEST_F(LatestCheckpoint, IsTheNewestThatIsSoundWithAWordForEachThatIsNot) {
  ToyRun toy({});
  EXPECT_EQ(load(*toy.parameters, *toy.optimizer)->state.step, 9);
  EXPECT_THAT(warnings_, ::testing::IsEmpty());
  flip_a_bit(9);
  write_file(path(6), "");
  EXPECT_EQ(load(*toy.parameters, *toy.optimizer)->state.step, 3);
  ASSERT_EQ(warnings_.size(), 2U);
  EXPECT_EQ(warnings_[0], "'" + path(9).string() +
                              "': its bytes do not match its digest: the file is damaged; taking "
                              "the checkpoint before it");
  EXPECT_THAT(warnings_[1], ::testing::HasSubstr(path(6).string()));
  flip_a_bit(3);
  EXPECT_EQ(error_of([&] { load(*toy.parameters, *toy.optimizer); }),
            "[checkpoint] '" + path(3).string() +
                "': its bytes do not match its digest: the file is damaged; there is no sound "
                "checkpoint before it: begin the run anew");
}

TEST_F(LatestCheckpoint, IsNotPassedOverForBeingOfAnotherVersionOrModel) {
  ToyRun other({.width = 6});
  EXPECT_THAT(error_of([&] { load(*other.parameters, *other.optimizer); }),
              ::testing::HasSubstr("the run's is float64 (12, 6)"));
  save_tensors(path(12), {}, {{"format", "maskgrad checkpoint 3"}});
  EXPECT_THAT(error_of([&] { load(*other.parameters, *other.optimizer); }),
              ::testing::HasSubstr("take a newer one"));
  EXPECT_THAT(warnings_, ::testing::IsEmpty());
}

TEST_F(LatestCheckpoint, MakesWayForTheSoundOnesThatTakeThePlaceOfDamagedOnes) {
  flip_a_bit(9);
  flip_a_bit(6);
  std::atomic<bool> stop = true;
  ToyRun toy({.training = {.epochs = 3}}, {},
             [&](ParameterBuffer& p, Optimizer& o) { return load(p, o)->state; });
  toy.trainer->add(std::make_unique<CheckpointCallback>(folder_.path()));
  toy.run(stop);  // stops after one step
  EXPECT_TRUE(fs::exists(path(3)));
  EXPECT_EQ(latest_checkpoint(folder_.path()), path(4));
}

TEST_F(LatestCheckpoint, GoesByTheStepNotByTheSpelling) {
  fs::rename(path(9), folder_ / "step_9.safetensors");
  EXPECT_EQ(latest_checkpoint(folder_.path()), folder_ / "step_9.safetensors");
  for (const char* name : {"step_.safetensors", "step_x.safetensors", "step_-99.safetensors",
                           "step_99.safetensors.tmp.1", "step_+99.safetensors"}) {
    write_file(folder_ / name, "");
  }
  EXPECT_EQ(latest_checkpoint(folder_.path()), folder_ / "step_9.safetensors");
}

TEST_F(LatestCheckpoint, IsNoneInAnEmptyFolderAndAnErrorInOneThatCannotBeRead) {
  const ScratchFolder empty;
  ToyRun toy({});
  EXPECT_FALSE(
      load_latest_checkpoint(empty.path(), *toy.parameters, *toy.optimizer, {}).has_value());
  EXPECT_FALSE(
      load_latest_checkpoint(empty / "none", *toy.parameters, *toy.optimizer, {}).has_value());
  EXPECT_THAT(error_of([&] { latest_checkpoint(path(3)); }),
              ::testing::StartsWith("[file] cannot read folder '"));
}

}  // namespace
}  // namespace maskgrad
