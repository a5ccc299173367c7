#include <gmock/gmock.h>

#include <maskgrad/tensor/finite.hpp>
#include <maskgrad/train/diverged.hpp>
#include <maskgrad/train/optim/gradient_transform.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::same_bits;
using test::ToyRun;
using ::testing::ElementsAre;

TEST(GradientTransform, StandsBetweenBackwardAndUpdate) {
  ToyRun plain({.training = {.lr = 0.5}, .sgd = true});
  ToyRun halved({.training = {.lr = 1.0, .transforms = {[](GradientStep& step) {
                                           Tensor gradients = step.parameters.gradients();
                                           double* g = gradients.data<double>();
                                           for (std::int64_t i = 0; i < gradients.numel(); ++i)
                                             g[i] *= 0.5;
                                         }}},
                 .sgd = true});
  ToyRun scaled(
      {.training = {.lr = 1.0, .transforms = {[](GradientStep& step) { step.scale *= 0.5; }}},
       .sgd = true});
  for (ToyRun* toy : {&plain, &halved, &scaled}) toy->trainer->step(toy->loader->next());
  EXPECT_TRUE(same_bits(halved.parameters->values(), plain.parameters->values()));
  EXPECT_TRUE(same_bits(scaled.parameters->values(), plain.parameters->values()));
}

TEST(GradientTransform, KnowsTheStepAndComesInOrderBehindClipping) {
  std::vector<std::string> heard;
  const auto hear = [&](const char* name) {
    return [&heard, name](GradientStep& step) {
      heard.push_back(fmt::format("{} {} {} {}", name, step.step, step.lr, step.metrics.size()));
    };
  };
  ToyRun toy({.training = {.lr = 0.5,
                           .schedule = {.warmup_steps = 2},
                           .clip_norm = 1.0,
                           .transforms = {hear("a"), hear("b")},
                           .max_steps = 2}});
  toy.run();
  EXPECT_THAT(heard, ElementsAre("a 0 0.25 2", "b 0 0.25 2", "a 1 0.5 2", "b 1 0.5 2"));
}

TEST(GradientTransform, MayReportAMetric) {
  ToyRun toy({.training = {.transforms = {[](GradientStep& step) {
                             step.metrics.push_back({"mine", 3.0, step.counts ? 2 : 0});
                           }}}});
  const auto metrics = toy.trainer->step(toy.loader->next());
  ASSERT_EQ(metrics.size(), 3U);
  EXPECT_EQ(metrics[2].name, "mine");
  EXPECT_EQ(metrics[2].mean(), 1.5);
}

TEST(GradientTransform, ThatClipsTwiceClipsWhatIsLeft) {
  const auto step = [](Trainer::Options options) {
    ToyRun toy({.training = std::move(options), .sgd = true});
    const auto metrics = toy.trainer->step(toy.loader->next());
    return std::pair(metrics.back().sum, toy.parameters->values());
  };
  const auto [norm, once] = step({.transforms = {clip_norm(0.125)}});
  const auto [left, twice] = step({.clip_norm = 0.5, .transforms = {clip_norm(0.125)}});
  EXPECT_GT(norm, 0.6);
  EXPECT_NEAR(left, 0.5, 1e-5) << "the norm that the second one finds";
  EXPECT_TRUE(test::is_close(once, test::to_doubles(twice), 1e-6));
}

TEST(GradientTransform, EndsTheRunWithItsReason) {
  ToyRun diverged({.training = {.transforms = {[](GradientStep&) {
                                  throw Diverged("mine", "the gradients are nan");
                                }}}});
  EXPECT_THAT(error_of([&] { diverged.run(); }),
              ::testing::StartsWith("[train] step 0: the gradients are nan"));
  ToyRun other({.training = {.transforms = {[](GradientStep&) { fail("mine", "enough"); }}}});
  EXPECT_EQ(error_of([&] { other.run(); }), "[mine] enough");
  EXPECT_EQ(error_of([] { ToyRun({.training = {.transforms = {nullptr}}}); }),
            "[train] a gradient transform is empty");
}

}  // namespace
}  // namespace maskgrad
