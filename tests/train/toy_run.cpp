#include "train/toy_run.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/sgd.hpp>

namespace maskgrad::test {

SequenceDataset toy_data() {
  SequenceDataset dataset(3);
  Random random(11);
  for (int i = 0; i < 10; ++i) {
    std::vector<std::int64_t> tokens(3);
    for (auto& token : tokens) token = random.integer(0, 4);
    dataset.add(tokens, *std::max_element(tokens.begin(), tokens.end()));
  }
  return dataset;
}

ToyRun::ToyRun(ToyOptions options, ToyModel model, const Prepare& prepare) : data(toy_data()) {
  layers.add<Embed>("embed", 5, 4)
      .add<Reshape>("reshape", std::vector<std::int64_t>{12})
      .add<Dense>("dense", 12, options.width);
  parameters = std::make_unique<ParameterBuffer>(layers, options.dtype, options.seed);
  if (options.sgd)
    optimizer = std::make_unique<Sgd>(*parameters, 0.9);
  else
    optimizer = std::make_unique<Adam>(*parameters);
  if (options.ema > 0) average = std::make_unique<WeightAverage>(*parameters, options.ema);
  options.training.average = average.get();
  options.training.best = &best;
  const TrainState state = prepare ? prepare(*this) : TrainState{};
  loader = std::make_unique<DataLoader>(
      data, DataLoader::Options{.batch_size = 4, .shuffle = options.shuffle, .seed = 7},
      state.position);
  if (!model) model = [](ToyRun& run, const Batch& batch, Pass&) { return run.evaluate(batch); };
  trainer = std::make_unique<Trainer>(
      [this, model](const Batch& batch, Pass& pass) { return model(*this, batch, pass); },
      *parameters, *optimizer, *loader, options.training, state);
}

ModelOutput ToyRun::evaluate(const Batch& batch) {
  const Variable logits = layers(Variable(batch.inputs));
  return {ops::cross_entropy(logits, batch.targets),
          {to_metric("accuracy", ops::accuracy(logits, batch.targets))}};
}

ToyRun from_checkpoint(ToyOptions options, const std::filesystem::path& folder, ToyModel model) {
  options.seed += 99;
  return ToyRun(options, std::move(model), [&](ToyRun& run) {
    return load_checkpoint(latest_checkpoint(folder).value(), *run.parameters, *run.optimizer,
                           run.average.get(), &run.best)
        .state;
  });
}

Trainer::Outcome stop_after(ToyRun& toy, std::int64_t steps) {
  struct Stop : Callback {
    void on_step(const Trainer&, const StepInfo& step) override {
      if (step.step + 1 == at) *stop = true;
    }
    std::int64_t at = 0;
    std::shared_ptr<std::atomic<bool>> stop = std::make_shared<std::atomic<bool>>(false);
  };
  auto watch = std::make_unique<Stop>();
  watch->at = steps;
  const auto stop = watch->stop;
  toy.trainer->add(std::move(watch));
  return toy.run(*stop);
}

void Notes::on_start(const Trainer&) { kept_.events.push_back("start"); }

void Notes::on_step(const Trainer&, const StepInfo& step) {
  kept_.losses.push_back(step.loss);
  kept_.events.push_back(fmt::format("step {}", step.step));
  if (at_step_) at_step_(step);
}

void Notes::on_epoch(const Trainer&, const EpochInfo& epoch) {
  kept_.events.push_back(fmt::format("epoch {} at {}", epoch.epoch, epoch.steps));
  kept_.epoch_losses.push_back(epoch.totals.front().mean());
}

void Notes::on_end_within_epoch(const Trainer&, const EpochInfo& part) {
  kept_.events.push_back(
      fmt::format("end at {}, {} into epoch {}", part.steps, part.batches, part.epoch));
}

void Notes::on_interrupt(const Trainer& trainer) {
  kept_.events.push_back(fmt::format("interrupt at {}", trainer.state().step));
}

void Notes::on_checkpoint(const Trainer& trainer) {
  kept_.events.push_back(fmt::format("checkpoint at {}", trainer.state().step));
}

}  // namespace maskgrad::test
