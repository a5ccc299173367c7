// The benchmarks blog-step and mask-overhead.
#include <fmt/format.h>

#include <maskgrad/train/arithmetic.hpp>

#include "benchmarks.hpp"
#include "training_run.hpp"

namespace maskgrad::apps {
namespace {

SequenceDataset blog_data() {
  SequenceDataset data(20, kPadToken);
  for (std::uint64_t i = 0; i < 6400; ++i) {
    const ArithmeticSample sample = draw_arithmetic(0, i, 100);
    data.add(arithmetic_tokens(sample.defs + ":" + sample.op),
             arithmetic_tokens(sample.res).front());
  }
  return data;
}

Settings blog_settings(std::int64_t batch_size, const char* mask) {
  Settings settings(find_recipe("blog").settings());
  settings.set("batch_size", std::to_string(batch_size), "bench");
  settings.set("mask", mask, "bench");
  return settings;
}

// Whole steps of the blog recipe as a run takes them: the next batch, forward, backward, update.
class BlogSteps {
 public:
  BlogSteps(std::int64_t batch_size, const char* mask)
      : count(batch_size <= 10 ? 640 : 64),
        settings_(blog_settings(batch_size, mask)),
        data_(blog_data()),
        model_(find_recipe("blog").make_model(settings_)),
        parameters_(model_->module(), DType::kFloat32, 0),
        optimizer_(make_optimizer(settings_, parameters_)),
        loader_(data_, {.batch_size = batch_size}),
        trainer_([this](const Batch& batch) { return model_->evaluate(batch); }, parameters_,
                 *optimizer_, loader_, {}) {}

  void operator()() {
    for (std::int64_t i = 0; i < count; ++i) trainer_.step(loader_.next());
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

Result time_blog_step(std::int64_t batch_size) {
  BlogSteps steps(batch_size, "key");
  return measure(fmt::format("blog_step_b{}", batch_size), "us", 1e6, steps.count,
                 [&] { steps(); });
}

// The two masks in turns, so that what else the machine does falls on both.
Result time_mask_overhead(std::int64_t batch_size) {
  BlogSteps masked(batch_size, "key"), plain(batch_size, "none");
  std::vector<double> percents;
  for (std::size_t i = 0; i < kRepeats + 1; ++i) {
    const double with = seconds_of([&] { masked(); }), without = seconds_of([&] { plain(); });
    if (i > 0) percents.push_back(100 * (with / without - 1));
  }
  return summarize(fmt::format("mask_overhead_b{}", batch_size), "percent", std::move(percents));
}

}  // namespace

std::vector<Result> bench_blog_step() { return {time_blog_step(2), time_blog_step(100)}; }

std::vector<Result> bench_mask_overhead() {
  return {time_mask_overhead(2), time_mask_overhead(100)};
}

}  // namespace maskgrad::apps
