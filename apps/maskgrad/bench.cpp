// maskgrad bench
#include <algorithm>
#include <chrono>
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <maskgrad/ops/elementwise.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/nearest_name.hpp>
#include <maskgrad/tensor/tape.hpp>
#include <maskgrad/train/arithmetic.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>

#include "command.hpp"
#include "output.hpp"
#include "table.hpp"
#include "training_run.hpp"
#include "usage.hpp"

namespace maskgrad::apps {
namespace {

struct Result {
  std::string key;  // in JSON; ends with the unit
  double median, min, p90;
};

struct Benchmark {
  std::string name, what;
  std::function<std::vector<Result>()> run;
};

constexpr std::size_t kRepeats = 31;

double seconds_of(const std::function<void()>& f) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  f();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Result summarize(const std::string& key, std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  return {key, figures[figures.size() / 2], figures.front(), figures[figures.size() * 9 / 10]};
}

// Times f(), which does `count` things, 31 times after a warm-up; figures are per thing, in seconds
// times `unit`.
Result measure(const std::string& key, double unit, std::int64_t count,
               const std::function<void()>& f) {
  f();
  std::vector<double> times;
  for (std::size_t i = 0; i < kRepeats; ++i) {
    times.push_back(unit * seconds_of(f) / static_cast<double>(count));
  }
  return summarize(key, std::move(times));
}

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
  return measure(fmt::format("blog_step_b{}_us", batch_size), 1e6, steps.count, [&] { steps(); });
}

// How many percent longer a step takes with the key mask than with none: the two in turns, so that
// what else the machine does falls on both.
Result time_mask_overhead(std::int64_t batch_size) {
  BlogSteps masked(batch_size, "key"), plain(batch_size, "none");
  std::vector<double> percents;
  for (std::size_t i = 0; i < kRepeats + 1; ++i) {
    const double with = seconds_of([&] { masked(); }), without = seconds_of([&] { plain(); });
    if (i > 0) percents.push_back(100 * (with / without - 1));
  }
  return summarize(fmt::format("mask_overhead_b{}_percent", batch_size), percents);
}

// What the engine costs around an operation: additions of scalars, recorded, and run backward.
std::vector<Result> time_op_overhead() {
  constexpr int kOps = 1000;
  const Variable x(Tensor::zeros({}, DType::kFloat32), Variable::kRequiresGrad);
  const auto forward = [&] {
    Variable y = x;
    for (int i = 0; i < kOps; ++i) y = ops::add(y, x);
    return y;
  };
  const Result recorded = measure("op_forward_ns", 1e9, kOps, [&] {
    const Tape tape;
    forward();
  });
  const Result both = measure("op_forward_backward_ns", 1e9, kOps, [&] {
    Tape tape;
    tape.backward(forward());
  });
  return {recorded, both};
}

const std::vector<Benchmark>& benchmarks() {
  static const std::vector<Benchmark> all = {
      {"blog-step",
       "whole training steps of the blog recipe at batch 2 and 100, one float32 model each",
       [] {
         return std::vector{time_blog_step(2), time_blog_step(100)};
       }},
      {"mask-overhead",
       "how many percent longer a blog step takes with the key mask than with none",
       [] {
         return std::vector{time_mask_overhead(2), time_mask_overhead(100)};
       }},
      {"op-overhead", "cost of one operation on a single element, recorded, and with its backward",
       time_op_overhead},
  };
  return all;
}

struct Options {
  std::vector<std::string> names;
  std::string json;
  int threads = 1;
};

void check_names(const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const Benchmark& benchmark : benchmarks()) known.push_back(benchmark.name);
  for (const std::string& name : names) {
    check(std::count(known.begin(), known.end(), name) > 0, "bench", "there is no benchmark '{}'{}",
          name, did_you_mean(name, known));
  }
}

void bench(const Options& options) {
  as_usage([&] {
    check_names(options.names);
    set_num_threads(options.threads);
  });
  // Better to hear now that it cannot be written than when all is measured.
  if (!options.json.empty()) const AtomicFile attempt(options.json);
  std::vector<std::vector<std::string>> rows = {{"benchmark", "median", "min", "p90"}};
  nlohmann::ordered_json json;
  for (const Benchmark& benchmark : benchmarks()) {
    const bool chosen = options.names.empty() ||
                        std::count(options.names.begin(), options.names.end(), benchmark.name);
    if (!chosen) continue;
    for (const Result& result : benchmark.run()) {
      rows.push_back({result.key, fmt::format("{:.2f}", result.median),
                      fmt::format("{:.2f}", result.min), fmt::format("{:.2f}", result.p90)});
      json[result.key] = result.median;
    }
  }
  print("{}", format_table(rows));
  if (!options.json.empty()) write_file(options.json, json.dump(2) + "\n");
}

}  // namespace

void add_bench(CLI::App& program) {
  auto* command = program.add_subcommand("bench", "Run the benchmarks");
  auto options = std::make_shared<Options>();
  command->add_option("NAME", options->names, "Which; all if none is given")->type_name("");
  command->add_option("--json", options->json, "File for the medians, by name")->type_name("FILE");
  add_integer(*command, "--threads", options->threads, "How many threads to use");
  std::string footer = "Benchmarks:\n";
  for (const Benchmark& b : benchmarks()) footer += fmt::format("  {:<27} {}\n", b.name, b.what);
  command->footer(footer + "\nExample: maskgrad bench blog-step --json steps.json");
  command->callback([options] { bench(*options); });
}

}  // namespace maskgrad::apps
