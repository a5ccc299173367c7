// Steps of the blog recipe, for benchmarks.
#pragma once

#include <initializer_list>
#include <string>

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/run/run_settings.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

inline SequenceDataset blog_data() {
  SequenceDataset data(20, kPadToken);
  for (std::uint64_t i = 0; i < 6400; ++i) {
    const ArithmeticSample sample = draw_arithmetic(0, i, 100);
    data.add(arithmetic_tokens(sample.defs + ":" + sample.op),
             arithmetic_tokens(sample.res).front());
  }
  return data;
}

/// The settings of a recipe with some changed, in the form key=value.
inline Settings changed(Settings settings, std::initializer_list<std::string> pairs) {
  for (const std::string& pair : pairs) settings.set_pair(pair, "bench");
  return settings;
}

/// Ends a run after so many steps.
class EndsAfter : public Callback {
 public:
  explicit EndsAfter(std::int64_t count) : count_(count) {}

  void on_start(const Trainer& trainer) override { end_ = trainer.state().step + count_; }
  void on_step(const Trainer& trainer, const StepInfo&) override { step_ = trainer.state().step; }
  bool needs_step(std::int64_t steps) const override { return steps == end_; }
  bool wants_to_stop() const override { return step_ == end_; }

 private:
  std::int64_t count_, step_ = 0, end_ = 0;
};

/// Whole steps of the blog recipe as a run takes them: the next batch, forward, backward, update.
class BlogSteps {
 public:
  BlogSteps(std::int64_t batch_size, const std::string& mask, const std::string& pack = "never",
            Device device = {})
      : count(batch_size <= 10 ? 640 : 64),
        settings_(
            changed(Settings(find_recipe("blog")->settings()),
                    {"batch_size=" + std::to_string(batch_size), "mask=" + mask, "pack=" + pack})),
        data_(blog_data()),
        model_(find_recipe("blog")->make_model(settings_)),
        parameters_(model_->module(), DType::kFloat32, 0, device),
        optimizer_(make_optimizer(settings_, parameters_)),
        loader_(data_, {.batch_size = batch_size}),
        trainer_([this](const Batch& batch, Pass& pass) { return model_->evaluate(batch, pass); },
                 parameters_, *optimizer_, loader_, {.epochs = 0, .max_steps = Trainer::kUnknown}) {
    trainer_.add(std::make_unique<EndsAfter>(count));
  }

  void operator()() {
    trainer_.run(false);
    wait_for(parameters_.values());
  }

  const std::int64_t count;  // steps of one call

 private:
  Settings settings_;
  SequenceDataset data_;
  std::unique_ptr<RecipeModel> model_;
  ParameterBuffer parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  DataLoader loader_;
  Trainer trainer_;
};

}  // namespace maskgrad::apps
