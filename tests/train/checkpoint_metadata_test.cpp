#include <filesystem>

#include <gmock/gmock.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ScratchFolder;
using test::ToyOptions;
using test::ToyRun;

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
            "with that one, or begin a new run with its weights (--init)");
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
  EXPECT_THAT(load("totals", R"([["a",1,9223372036854775807]])"),
              ::testing::HasSubstr("\"a\" counts 9223372036854775807"))
      << "the next batch could not be added";
}

TEST_F(CheckpointMetadata, RefusesTotalsThatAreNone) {
  for (const char* totals :
       {"", "{}", "[", "[[]]", R"([["a"]])", R"([["a",1]])", R"([["a",1,2,3]])", R"([["a",1,-2]])",
        R"([["a","x",1]])", R"([["a","1",1]])", R"([["a",1,1.5]])", R"([[1,1,1]])", "[] x",
        R"([["a",1e999,1]])", R"([["a",1,9223372036854775808]])", "loss=1/2"}) {
    EXPECT_THAT(load("totals", totals), ::testing::HasSubstr("'FILE': totals byte ")) << totals;
  }
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

}  // namespace
}  // namespace maskgrad
