// Files that earlier versions wrote are read as they were meant, or refused with a word that helps.
// See tests/data/README.md.
#include <gmock/gmock.h>

#include <maskgrad/train/callbacks/run_logs.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/settings.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::test_data;
using test::ToyRun;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::filesystem::path golden(const char* version, const char* name) {
  return test_data("golden") / version / name;
}

// A toy run in float32, of which the files are.
ToyRun make_toy() { return ToyRun({.dtype = DType::kFloat32}); }

TEST(GoldenFiles, WeightsOfTheFirstVersionAreRead) {
  const ToyRun toy = make_toy();
  for (const char* name : {"toy/model.safetensors", "toy/step_000000000004.safetensors"}) {
    const ModelFile model = load_model(golden("v1", name));
    toy.parameters->load(model.tensors);
    EXPECT_TRUE(model.notes.empty());
    EXPECT_EQ(toy.parameters->named_values().at("dense.bias").values<float>()[0], -0x1.02b74ap-8F);
  }
}

TEST(GoldenFiles, ACheckpointOfTheFirstVersionIsRefused) {
  const ToyRun toy = make_toy();
  EXPECT_THAT(
      error_of([&] {
        load_checkpoint(golden("v1", "toy/step_000000000004.safetensors"), *toy.parameters,
                        *toy.optimizer);
      }),
      EndsWith("has format 'maskgrad checkpoint 1', of an earlier maskgrad: go on with that "
               "one, or begin a new run with its weights (--init)"));
}

TEST(GoldenFiles, SettingsOfTheFirstVersionAreReadOnceTheUserSaysSo) {
  const std::string text = read_file(golden("v1", "run/config.toml"));
  Settings settings({Setting{"recipe", std::string(), ""}});
  EXPECT_EQ(toml_text(text, "v1", "recipe"), "blog");
  EXPECT_THAT(error_of([&] { settings.read_saved_toml("recipe = 'blog'\n", "v1"); }),
              EndsWith("if its settings are right, add the line: version = 1"));
  settings.read_saved_toml("version = 1\nrecipe = 'blog'\n", "v1");
  EXPECT_EQ(settings.text("recipe"), "blog");
}

TEST(GoldenFiles, TablesOfTheFirstVersionAreRead) {
  const std::vector<EpochRow> rows = read_epochs(golden("v1", "run/epochs.csv"));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1][2], std::make_pair(std::string("loss"), 2.8490446408589682));
  const test::ScratchFolder folder;
  AtomicFile copy(folder / "steps.csv");
  copy_step_log(golden("v1", "run/steps.csv"), copy, 4, {});
  copy.commit();
  EXPECT_EQ(read_file(folder / "steps.csv"), read_file(golden("v1", "run/steps.csv")));
}

TEST(GoldenFiles, DataOfTheFirstVersionAreRead) {
  const auto shards = list_shards(golden("v1", "data"));
  ASSERT_EQ(shards.size(), 2U);
  EXPECT_EQ(read_arithmetic_shard(shards[1]).at(2).defs, draw_arithmetic(4, 5, 100).defs);
}

TEST(GoldenFiles, ACheckpointOfTheSecondVersionIsGoneOnFrom) {
  const ToyRun toy({.dtype = DType::kFloat32, .sgd = true});
  const auto [state, notes] = load_checkpoint(golden("v2", "toy/step_000000000004.safetensors"),
                                              *toy.parameters, *toy.optimizer);
  EXPECT_EQ(state.step, 4);
  EXPECT_EQ(state.position, (DataPosition{1, 1}));
  EXPECT_EQ(state.skipped, 0);
  ASSERT_EQ(state.totals.size(), 2U);
  EXPECT_EQ(state.totals[0].count, 4);
  EXPECT_EQ(toy.parameters->named_values().at("dense.bias").values<float>()[0], -0x1.e324f6p-10F);
  EXPECT_EQ(toy.optimizer->steps(), 4);
  EXPECT_EQ(notes.at("path"), "d\xff\n");
  Settings settings({Setting{"lr", 0.5, ""}, Setting{"data", std::string(), ""}});
  settings.read_saved_toml(notes.at("settings"), "note");
  EXPECT_EQ(settings.real("lr"), 0.01);
  EXPECT_EQ(settings.text("data"), "d\xff\n");
  EXPECT_EQ(read_file(golden("v2", "toy/config.toml")), notes.at("settings"));
}

TEST(GoldenFiles, TheSecondVersionVouchesForItsTables) {
  const Notes notes = read_notes(golden("v2", "toy/step_000000000004.safetensors"));
  EXPECT_EQ(read_epochs(golden("v2", "toy/epochs.csv"), notes).size(), 2U);
  const ModelFile model = load_model(golden("v2", "toy/model.safetensors"));
  EXPECT_EQ(model.notes.at("recipe"), "toy");
  EXPECT_EQ(read_epochs(golden("v2", "toy/epochs.csv"), model.notes).size(), 2U);
  const test::ScratchFolder folder;
  AtomicFile copy(folder / "steps.csv");
  EXPECT_EQ(to_string(copy_step_log(golden("v2", "toy/steps.csv"), copy, 4, notes)),
            notes.at(kStepLogNote));
}

TEST(GoldenFiles, DataOfTheSecondVersionHaveAnIndex) {
  const auto shards = list_shards(golden("v2", "data"));
  ASSERT_EQ(shards.size(), 2U);
  EXPECT_EQ(read_file(shards[0]), read_file(golden("v1", "data/shard_0000.tfrecords")));
}

}  // namespace
}  // namespace maskgrad
