// A run on a device replays its steps, waits for nothing, and hears of each step late; all the same
// it does what it does on the CPU.
#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/sgd.hpp>
#include <maskgrad/train/trainer.hpp>

#include "cuda/device_steps.hpp"
#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::same_bits;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr std::int64_t kVocabulary = 30, kFeatures = 6, kLength = 7, kSamples = 64, kBatch = 4;
constexpr std::int64_t kStepsOfEpoch = kSamples / kBatch;

// Sequences of all lengths: what a batch keeps is another number each time.
const SequenceDataset& data() {
  static const SequenceDataset made = [] {
    SequenceDataset dataset(kLength);
    Random random(11);
    for (std::int64_t i = 0; i < kSamples; ++i) {
      std::vector<std::int64_t> tokens(static_cast<std::size_t>(random.integer(1, kLength)));
      for (auto& token : tokens) token = random.integer(1, kVocabulary - 1);
      dataset.add(tokens, 0);
    }
    return dataset;
  }();
  return made;
}

// Hears of a run.
struct Heard : Callback {
  std::vector<std::string> events;
  std::vector<double> numbers, rates;  // losses, rates and means; and the rates alone
  std::function<bool(std::int64_t)> needs = [](std::int64_t) { return false; };
  std::function<void(const Trainer&, const StepInfo&)> at_step = [](auto&, auto&) {};
  std::atomic<bool> stop = false;
  bool ends = false;

  void on_step(const Trainer& trainer, const StepInfo& step) override {
    events.push_back(fmt::format("step {} at {}", step.step, trainer.state().step));
    numbers.insert(numbers.end(), {step.loss, step.lr});
    rates.push_back(step.lr);
    at_step(trainer, step);
  }
  bool needs_step(std::int64_t steps) const override { return needs(steps); }
  void on_epoch(const Trainer&, const EpochInfo& epoch) override {
    events.push_back(fmt::format("epoch {} at {}", epoch.epoch, epoch.steps));
    for (const Metric& metric : epoch.totals) numbers.push_back(metric.mean());
  }
  void on_end_within_epoch(const Trainer&, const EpochInfo& part) override {
    events.push_back(fmt::format("end at {} of {}", part.steps, part.epoch));
    for (const Metric& metric : part.totals) numbers.push_back(metric.mean());
  }
  void on_interrupt(const Trainer& trainer) override {
    events.push_back(fmt::format("interrupt at {}", trainer.state().step));
  }
  void on_checkpoint(const Trainer& trainer) override {
    events.push_back(fmt::format("checkpoint at {}", trainer.state().step));
  }
  bool wants_to_stop() const override { return ends; }
};

struct Network : Module {
  Embed& embed = submodule("embed", std::make_unique<Embed>(kVocabulary, kFeatures));
  Dense& dense = submodule("dense", std::make_unique<Dense>(kFeatures, kVocabulary));
  Parameter& shift = parameter("shift", {kFeatures}, zeros());

  // Which token each token is.
  ModelOutput operator()(const Batch& batch, Pass& pass) {
    const SequenceMask exists = SequenceMask::from_tokens(batch.inputs, 0);
    const Variable x = embed(Variable(batch.inputs, Variable::kConstant, exists), pass);
    const Variable logits = dense(ops::add(x, shift), pass);
    return {ops::cross_entropy(logits, batch.inputs),
            {to_metric("accuracy", ops::accuracy(logits, batch.inputs)),
             to_metric("whole", ops::sequence_accuracy(logits, batch.inputs))}};
  }
};

struct Options {
  Trainer::Options training = {.lr = 0.05, .epochs = 3};
  DType dtype = DType::kFloat32;
  bool sgd = false;
  double ema = 0.9;
};

using Output = std::function<ModelOutput(Network&, const Batch&, Pass&)>;

struct LateRun {
  Network network;
  ParameterBuffer parameters;
  std::unique_ptr<Optimizer> optimizer;
  WeightAverage average;
  DataLoader loader;
  std::unique_ptr<Trainer> trainer;
  Heard* heard;
  std::string error;

  LateRun(
      Device device, Options options,
      Output output = [](Network& network, const Batch& batch,
                         Pass& pass) { return network(batch, pass); })
      : parameters(network, options.dtype, 3, device),
        average(parameters, options.ema),
        loader(data(), {.batch_size = kBatch, .shuffle = true, .seed = 7}) {
    if (options.sgd) {
      optimizer = std::make_unique<Sgd>(parameters, 0.9);
    } else {
      optimizer = std::make_unique<Adam>(parameters);
    }
    options.training.average = &average;
    trainer = std::make_unique<Trainer>(
        [this, output](const Batch& batch, Pass& pass) { return output(network, batch, pass); },
        parameters, *optimizer, loader, options.training);
    auto callback = std::make_unique<Heard>();
    heard = callback.get();
    trainer->add(std::move(callback));
  }

  LateRun& operator()() {
    error = test::error_of([&] { trainer->run(heard->stop); });
    return *this;
  }
  std::vector<Tensor> flats() {
    std::vector<Tensor> all = {parameters.values().to(Device{}), average.values().to(Device{})};
    for (const auto& [name, flat] : optimizer->state()) all.push_back(flat.to(Device{}));
    return all;
  }
};

void expect_same(LateRun& got, LateRun& wanted) {
  EXPECT_EQ(got.error, wanted.error);
  EXPECT_THAT(got.heard->events, ElementsAreArray(wanted.heard->events));
  EXPECT_THAT(got.heard->numbers, ElementsAreArray(wanted.heard->numbers));
  EXPECT_EQ(got.trainer->state().step, wanted.trainer->state().step);
  EXPECT_EQ(got.optimizer->steps(), wanted.optimizer->steps());
  const auto flats = got.flats(), wanted_flats = wanted.flats();
  for (std::size_t i = 0; i < flats.size(); ++i) {
    EXPECT_TRUE(same_bits(flats[i], wanted_flats[i])) << i;
  }
}

std::vector<Options> all_options() {
  std::vector<Options> all(4);
  all[1].training.clip_norm = 0.3;
  all[2].dtype = DType::kFloat64;
  all[3].sgd = true;
  all[3].training.clip_norm = 0.05;
  all[3].training.schedule.kind = Schedule::Kind::kCosine;
  return all;
}

class LateTraining : public test::DeviceSteps {};

TEST_F(LateTraining, HasTheNumbersOfTheCpuInEveryOrderOfThreads) {
  for (const Options& options : all_options()) {
    LateRun wanted({}, options);
    wanted();
    EXPECT_EQ(wanted.error, "no error");
    EXPECT_LT(wanted.heard->numbers.end()[-4], wanted.heard->numbers.front());
    test::in_each_order([&] {
      LateRun got(kCuda, options);
      expect_same(got(), wanted);
    });
  }
}

TEST_F(LateTraining, ReplaysItsStepsAndWaitsForNothing) {
  constexpr std::int64_t kWarm = 8;
  for (const Options& options : all_options()) {
    LateRun run(kCuda, options);
    DeviceCounts before, after;
    std::uint64_t waits = 0;
    run.heard->at_step = [&](auto&, const StepInfo& step) {
      if (step.step == kWarm) before = device_counts();
      if (step.step == kWarm) waits = Traffic::so_far().syncs;
      after = device_counts();
    };
    run();
    EXPECT_EQ(run.error, "no error");
    EXPECT_EQ(Traffic::so_far().syncs, waits);
    if (!test::reuses_memory()) continue;
    // The steps given after the one behind kWarm was.
    EXPECT_EQ(after.replayed - before.replayed, 3 * kStepsOfEpoch - kWarm - 2);
    EXPECT_EQ(after.recorded, before.recorded);
    EXPECT_EQ(after.broken + after.eager, before.broken + before.eager);
    EXPECT_EQ(after.allocations, before.allocations);
  }
}

TEST_F(LateTraining, DoesInPiecesWhatItDoesAsAGraph) {
  for (Options options : all_options()) {
    LateRun graph(kCuda, options);
    graph();
    options.training.transforms.push_back([](GradientStep& step) {  // the host looks at something
      static_cast<void>(step.parameters.gradients().to(Device{}));
    });
    const std::uint64_t replayed = device_counts().replayed;
    LateRun pieces(kCuda, options);
    pieces();
    EXPECT_EQ(device_counts().replayed, replayed);
    expect_same(pieces, graph);
  }
}

// Where the next step is given before anybody has heard of one.
TEST_F(LateTraining, IsAheadWhereNoCallbackNeedsAStep) {
  LateRun run(kCuda, {.training = {.lr = 0.05, .checkpoint_every = 5}});
  std::vector<std::int64_t> behind;
  Tensor last;
  run.heard->needs = [](std::int64_t steps) { return steps == 7; };
  run.heard->at_step = [&](const Trainer& trainer, const StepInfo& step) {
    if (trainer.optimizer().steps() == step.step + 1) behind.push_back(step.step + 1);
  };
  run();
  // At the first, it is not known yet what the run will report.
  EXPECT_THAT(behind, ::testing::ElementsAre(1, 5, 7, 10, 15, kStepsOfEpoch));
}

TEST_F(LateTraining, TellsCallbacksWhatTheCpuTells) {
  std::vector<Options> all(4);
  all[0].training.checkpoint_every = 5;
  all[1].training.max_steps = 13;
  all[2].training.max_steps = kStepsOfEpoch + 1;
  all[3].training.max_steps = 1;
  for (const Options& options : all) {
    LateRun wanted({}, options), got(kCuda, options);
    wanted();
    expect_same(got(), wanted);
  }
}

TEST_F(LateTraining, StopsWhereItIsAskedTo) {
  for (const bool from_outside : {true, false}) {
    std::vector<std::unique_ptr<LateRun>> runs;
    for (const Device device : {Device{}, kCuda}) {
      runs.push_back(std::make_unique<LateRun>(device, Options{}));
      Heard& heard = *runs.back()->heard;
      heard.needs = [](std::int64_t steps) { return steps == 11; };
      heard.at_step = [&](auto&, const StepInfo& step) {
        heard.stop = from_outside && step.step >= 10;
        heard.ends = !from_outside && step.step >= 10;
      };
      (*runs.back())();
    }
    EXPECT_EQ(runs[0]->trainer->state().step, 11);
    expect_same(*runs[1], *runs[0]);
  }
}

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
TEST_F(LateTraining, TellsOfTheStepsBeforeAnError) {
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
TEST_F(LateTraining, GoesOnAfterACallbackThrew) {
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
TEST_F(LateTraining, LetsACallbackTrainWhereItSaysSo) {
  for (const bool says_so : {true, false}) {
    LateRun run(kCuda, {});
    run.heard->needs = [&](std::int64_t steps) { return says_so && steps == 6; };
    run.heard->at_step = [&](const Trainer&, const StepInfo& step) {
      if (step.step == 5) run.trainer->step(data().collate(std::vector<std::int64_t>{0, 1}));
    };
    EXPECT_THAT(run().error, HasSubstr(says_so ? "no error" : "[train] a callback cannot train"));
  }
}

// The device had the next step already when the host heard that the model changed its mind.
TEST_F(LateTraining, EndsWithAModelThatChangesItsMetrics) {
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

TEST_F(LateTraining, LooksAtTermsOfTheHostAtOnce) {
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
TEST_F(LateTraining, NamesALossThatIsNotFiniteBeforeATransformThrows) {
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

// Whatever stands before a clipping that is left to the device, or behind one that is not.
TEST_F(LateTraining, ScalesGradientsByAllTransforms) {
  const auto half = [](GradientStep& step) { step.scale *= 0.5; };
  const std::vector<GradientTransform> orders[] = {{half, clip_norm(0.08)},
                                                   {half, clip_norm(0.08), half}};
  for (const DType dtype : test::kFloatingDTypes) {
    for (const auto& transforms : orders) {
      Options options{.dtype = dtype};
      options.training.transforms = transforms;
      LateRun wanted({}, options), got(kCuda, options);
      EXPECT_EQ(wanted().error, "no error");
      expect_same(got(), wanted);
    }
  }
}

// Time ends the schedule when the next step was given already, at the rate of before.
TEST_F(LateTraining, TellsTheRateOfTheUpdate) {
  Options options;
  options.training = {.lr = 0.05, .epochs = 0, .max_steps = 40, .max_minutes = 1e-4};
  options.training.schedule.kind = Schedule::Kind::kCosine;
  std::vector<double> rates;
  options.training.transforms = {[&](GradientStep& step) { rates.push_back(step.lr); }};
  LateRun run(kCuda, options);
  run();
  EXPECT_THAT(run.heard->rates, ElementsAreArray(rates));
}

TEST_F(LateTraining, RefusesAMetricOfSeveralNumbers) {
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    ModelOutput made = network(batch, pass);
    made.metrics.push_back({"wide", Tensor::zeros({2}, DType::kFloat32, kCuda), 1});
    return made;
  };
  LateRun run(kCuda, {}, output);
  EXPECT_EQ(run().error, "[train] the sum of metric 'wide' must be one number, not (2,)");
}

// A batch without a target changes nothing, though a step behind it was given.
TEST_F(LateTraining, SkipsBatchesThatCountNothing) {
  const auto output = [](Network& network, const Batch& batch, Pass& pass) {
    ModelOutput made = network(batch, pass);
    if (pass.step() % 3 == 1) {
      made.terms[0].sum = ops::scale(made.terms[0].sum, 0);
      made.terms[0].count = 0;
    }
    return made;
  };
  Options options;
  options.training.clip_norm = 0.1;
  LateRun wanted({}, options, output), got(kCuda, options, output);
  wanted();
  EXPECT_EQ(wanted.trainer->state().skipped, kStepsOfEpoch);
  expect_same(got(), wanted);
  EXPECT_EQ(got.trainer->state().skipped, kStepsOfEpoch);
}

TEST_F(LateTraining, AStepByItselfIsHeardOfAtOnce) {
  LateRun wanted({}, {}), got(kCuda, {});
  for (int i = 0; i < 5; ++i) {
    const auto here = wanted.trainer->step(wanted.loader.next()),
               there = got.trainer->step(got.loader.next());
    ASSERT_EQ(there.size(), here.size());
    for (std::size_t k = 0; k < here.size(); ++k) {
      EXPECT_EQ(there[k].name, here[k].name);
      EXPECT_EQ(there[k].sum, here[k].sum);
      EXPECT_EQ(there[k].count, here[k].count);
    }
  }
}

TEST_F(LateTraining, RefusesMoreNumbersThanAStepSends) {
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
