// What a program asks of a run, as the settings that its folder keeps.
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/train/run/training_options.hpp>
#include <maskgrad/train/run/training_settings.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::HasSubstr;

TEST(TrainingOptions, ReachTheSettingsOfTheirNames) {
  const TrainingOptions options = {.folder = "f",
                                   .name = "n",
                                   .resume = true,
                                   .force = true,
                                   .epochs = 2,
                                   .steps = 3,
                                   .minutes = 4.5,
                                   .batch_size = 5,
                                   .micro_batches = 6,
                                   .shuffle = false,
                                   .seed = 7,
                                   .dtype = DType::kFloat64,
                                   .device = "auto",
                                   .math = "tf32",
                                   .init = "i",
                                   .optimizer = "sgd",
                                   .lr = 0.125,
                                   .schedule = Schedule::Kind::kWsd,
                                   .warmup_steps = 8,
                                   .decay_share = 0.375,
                                   .beta2 = 0.8125,
                                   .weight_decay = 0.25,
                                   .momentum = 0.5,
                                   .clip_norm = 9.5,
                                   .ema = 0.75,
                                   .checkpoint_every = 10,
                                   .val_every = 11,
                                   .patience = 12,
                                   .threads = 13,
                                   .tensorboard = false,
                                   .step_log = "s"};
  const std::string text = settings_of(options).to_toml();
  for (const char* line :
       {"recipe = 'n' ",          "epochs = 2 ",        "steps = 3 ",           "minutes = 4.5 ",
        "batch_size = 5 ",        "micro_batches = 6 ", "shuffle = false ",     "seed = 7 ",
        "dtype = 'float64' ",     "init = 'i' ",        "optimizer = 'sgd' ",   "lr = 0.125 ",
        "schedule = 'wsd' ",      "warmup_steps = 8 ",  "decay_share = 0.375 ", "beta2 = 0.8125 ",
        "weight_decay = 0.25 ",   "momentum = 0.5 ",    "clip_norm = 9.5 ",     "ema = 0.75 ",
        "checkpoint_every = 10 ", "val_every = 11 ",    "patience = 12 ",       "threads = 13 ",
        "tensorboard = false ",   "device = 'auto' ",   "math = 'tf32' "}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + line));
  }
  // No setting is left out above, and so none is forgotten.
  const std::set<std::string> others = {"recipe", "data", "val"};
  const Settings defaults(training_settings("n")), made = settings_of(options);
  for (const Setting& setting : defaults.all()) {
    if (others.contains(setting.key)) continue;
    EXPECT_NE(to_string(made.setting(setting.key).value), to_string(setting.value)) << setting.key;
  }
  for (const auto& [key, value] : {std::pair("out", "f"), {"step_log", "s"}}) {
    EXPECT_EQ(settings_of(options).text(key), value);
  }
  EXPECT_TRUE(settings_of(options).flag("resume") && settings_of(options).flag("force"));
}

TEST(TrainingOptions, NameADevice) {
  EXPECT_EQ(error_of([] { settings_of({.device = "gpu"}); }),
            "[device] device must be one of cpu, auto, cuda, not 'gpu'");
  EXPECT_EQ(error_of([] { settings_of({.device = "a\x01\n"}); }),
            "[device] device must be one of cpu, auto, cuda, not 'a\\x01\\n'");
}

TEST(TrainingSettings, StayInARunThatGoesOnWhereTheySayWhy) {
  const auto may_change = [](std::vector<Setting> own) {
    return Settings(training_settings("n", std::move(own))).setting("steps").may_change;
  };
  const Setting steps = {"steps", std::int64_t{7}, ""};
  EXPECT_TRUE(may_change({}));
  EXPECT_TRUE(may_change({steps}));
  EXPECT_FALSE(may_change({steps.fixed("they are counted")}));
  const Settings settings(training_settings("n", {steps.fixed("they are counted")}));
  EXPECT_EQ(settings.setting("steps").why_fixed, "they are counted");
  EXPECT_EQ(settings.integer("steps"), 7);
}

}  // namespace
}  // namespace maskgrad
