// Settings that do nothing beside others.
#include <gmock/gmock.h>

#include <maskgrad/train/run/idle_settings.hpp>
#include <maskgrad/train/run/training_settings.hpp>

namespace maskgrad {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> idle_in(const std::vector<std::string>& pairs) {
  const Settings defaults(training_settings("n"));
  Settings settings = defaults;
  for (const std::string& pair : pairs) settings.set_pair(pair, "test");
  return idle_settings(settings, defaults, {});
}

TEST(IdleSettings, AreThoseOfAnotherOptimizerOrSchedule) {
  EXPECT_THAT(idle_in({}), IsEmpty());
  EXPECT_THAT(idle_in({"momentum=0.75"}),
              ElementsAre("momentum 0.75 does nothing: optimizer is adam, and only sgd has it"));
  EXPECT_THAT(idle_in({"optimizer=sgd", "weight_decay=0.1", "beta2=0.5"}),
              ElementsAre("weight_decay 0.1 does nothing: optimizer is sgd, and only adamw has it",
                          "beta2 0.5 does nothing: optimizer is sgd, and only adam, adam-pytorch, "
                          "adamw have it"));
  EXPECT_THAT(
      idle_in({"decay_share=0.125"}),
      ElementsAre("decay_share 0.125 does nothing: schedule is constant, and only wsd has it"));
}

TEST(IdleSettings, AreNotThoseThatSomethingReads) {
  EXPECT_THAT(idle_in({"optimizer=sgd", "momentum=0.75"}), IsEmpty());
  EXPECT_THAT(idle_in({"optimizer=adamw", "weight_decay=0.1", "beta2=0.5"}), IsEmpty());
  EXPECT_THAT(idle_in({"schedule=wsd", "decay_share=0.5"}), IsEmpty());
  EXPECT_THAT(idle_in({"warmup_steps=9", "clip_norm=1"}), IsEmpty());
}

}  // namespace
}  // namespace maskgrad
