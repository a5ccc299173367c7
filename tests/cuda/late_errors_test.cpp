// A run on a device, which hears of each step late, ends by the errors of the CPU, and in its
// state.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/reduce.hpp>

#include "cuda/device_steps.hpp"
#include "cuda/late_run.hpp"

namespace maskgrad {
namespace {

using Options = test::LateOptions;
using test::kCuda;
using test::LateRun;
using test::Network;
using ::testing::HasSubstr;

class LateErrors : public test::DeviceSteps {};

// At step 7, in one of several ways.
enum class Way { kLoss, kGradient, kGradientOfClip, kUpdate, kModel };

class LateDivergence : public ::testing::TestWithParam<Way> {};

TEST_P(LateDivergence, EndsTheRunAsOnTheCpu) {
  constexpr std::uint64_t kStep = 7;
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    ModelOutput made = network(batch, pass);
    if (pass.step() != kStep) return made;
    Variable& sum = made.terms[0].sum;
    const auto nothing = [&] { return ops::scale(network.shift, 0); };
    switch (GetParam()) {
      case Way::kLoss:
        sum = ops::add(sum, ops::sum(ops::log(nothing())));
        break;
      case Way::kGradient:
      case Way::kGradientOfClip:
        sum = ops::add(sum, ops::sum(ops::sqrt(nothing())));
        break;
      case Way::kUpdate:
        sum = ops::scale(sum, 1e30);
        break;
      case Way::kModel:
        throw NotFiniteError("model", "it saw a NaN");
    }
    return made;
  };
  Options options;
  options.sgd = GetParam() == Way::kUpdate;
  if (options.sgd) options.training.lr = 1e10;
  if (GetParam() == Way::kGradientOfClip) options.training.clip_norm = 1;
  if (options.sgd) {
    options.training.transforms.push_back([](GradientStep& step) {
      if (step.step != kStep) step.scale = 1e-12;
    });
  }
  LateRun wanted({}, options, output), got(kCuda, options, output);
  wanted();
  EXPECT_THAT(wanted.error, HasSubstr("[train] step 7: "));
  EXPECT_EQ(wanted.heard->events.size(), kStep);
  if (GetParam() != Way::kGradient) return expect_same(got(), wanted);
  // On the CPU the optimizer finds it, and has then changed what it could. A device finds it
  // before.
  EXPECT_EQ(got().error, wanted.error);
  options.training.max_steps = kStep;
  LateRun until({}, options, output);
  until().error = wanted.error;
  until.heard->events.pop_back();  // the end
  until.heard->numbers.resize(wanted.heard->numbers.size());
  expect_same(got, until);
}

INSTANTIATE_TEST_SUITE_P(Ways, LateDivergence,
                         ::testing::Values(Way::kLoss, Way::kGradient, Way::kGradientOfClip,
                                           Way::kUpdate, Way::kModel));

// The one before the model threw is heard of all the same.
TEST_F(LateErrors, TellsOfTheStepsBeforeAnError) {
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    check(pass.step() < 9, "model", "has had enough");
    return network(batch, pass);
  };
  LateRun wanted({}, {}, output), got(kCuda, {}, output);
  wanted();
  EXPECT_EQ(wanted.error, "[model] has had enough");
  EXPECT_EQ(wanted.heard->events.size(), 9U);
  expect_same(got(), wanted);
}

// The step that was given behind the one that the callback threw at is forgotten.
TEST_F(LateErrors, GoesOnAfterACallbackThrew) {
  LateRun wanted({}, {}), got(kCuda, {});
  for (LateRun* run : {&wanted, &got}) {
    run->heard->at_step = [](auto&, const StepInfo& step) {
      check(step.step != 5, "callback", "has had enough");
    };
    (*run)();
    EXPECT_EQ(run->error, "[callback] has had enough");
    EXPECT_EQ(run->trainer->state().step, 6);
  }
  EXPECT_EQ(got.heard->events, wanted.heard->events);
  const Batch batch = wanted.loader.next();
  const double before = got.trainer->step(batch).front().sum;
  EXPECT_LT(got.trainer->step(batch).front().sum, before);
  // The batch that it was given stays out of the run.
  EXPECT_EQ(got().error, "[train] the data loader stands elsewhere than the run");
}

// The device is a step ahead then, unless the callback says that it needs this one.
TEST_F(LateErrors, LetsACallbackTrainWhereItSaysSo) {
  for (const bool says_so : {true, false}) {
    LateRun run(kCuda, {});
    run.heard->needs = [&](std::int64_t steps) { return says_so && steps == 6; };
    run.heard->at_step = [&](const Trainer&, const StepInfo& step) {
      if (step.step == 5)
        run.trainer->step(test::late_data().collate(std::vector<std::int64_t>{0, 1}));
    };
    EXPECT_THAT(run().error, HasSubstr(says_so ? "no error" : "[train] a callback cannot train"));
  }
}

// The device had the next step already when the host heard that the model changed its mind.
TEST_F(LateErrors, EndsWithAModelThatChangesItsMetrics) {
  for (const bool renames : {true, false}) {
    const auto output = [=](Network& network, const Batch& batch, Pass& pass) {
      ModelOutput made = network(batch, pass);
      if (pass.step() == 9 && renames) made.metrics[1].name = "odd";
      if (pass.step() == 9 && !renames) made.metrics.pop_back();
      return made;
    };
    LateRun wanted({}, {}, output), got(kCuda, {}, output);
    EXPECT_THAT(wanted().error, HasSubstr("[train] the model gave"));
    expect_same(got(), wanted);
  }
}

TEST_F(LateErrors, LooksAtTermsOfTheHostAtOnce) {
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    ModelOutput made = network(batch, pass);
    const double penalty = pass.step() == 7 ? test::kNaN : 1;
    made.terms[0].name = "tokens";
    made.terms.push_back({"penalty", Variable(Tensor::full({}, penalty, DType::kFloat32)), 0, 1.0});
    return made;
  };
  LateRun wanted({}, {}, output), got(kCuda, {}, output);
  EXPECT_THAT(wanted().error, HasSubstr("[train] step 7: the loss 'penalty' is nan"));
  expect_same(got(), wanted);
}

// The CPU looks at the loss before a transform sees the gradients.
TEST_F(LateErrors, NamesALossThatIsNotFiniteBeforeATransformThrows) {
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    ModelOutput made = network(batch, pass);
    if (pass.step() == 7) {
      const Variable zero = ops::scale(network.shift, 0);
      made.terms[0].sum = ops::add(made.terms[0].sum, ops::sum(ops::log(zero)));
    }
    return made;
  };
  for (const DType dtype : test::kFloatingDTypes) {
    Options options{.dtype = dtype};
    options.training.transforms = {clip_norm(1), [](GradientStep& step) {
                                     check(std::isfinite(step.scale), "own", "my scale is odd");
                                   }};
    LateRun wanted({}, options, output), got(kCuda, options, output);
    EXPECT_THAT(wanted().error, HasSubstr("[train] step 7: the loss is -inf"));
    expect_same(got(), wanted);
  }
}

TEST_F(LateErrors, RefusesAMetricOfSeveralNumbers) {
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    ModelOutput made = network(batch, pass);
    made.metrics.push_back({"wide", Tensor::zeros({2}, DType::kFloat32, kCuda), 1});
    return made;
  };
  LateRun run(kCuda, {}, output);
  EXPECT_EQ(run().error, "[train] the sum of metric 'wide' must be one number, not (2,)");
}

TEST_F(LateErrors, RefusesMoreNumbersThanAStepSends) {
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    ModelOutput made = network(batch, pass);
    while (made.metrics.size() < 300) made.metrics.push_back(made.metrics[0]);
    return made;
  };
  LateRun run(kCuda, {}, output);
  EXPECT_EQ(run().error,
            "[train] on a device a step has at most 254 terms and metrics, and the model gave 301: "
            "give fewer");
}

}  // namespace
}  // namespace maskgrad
