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

// Times f(), which does `count` things, 31 times after a warm-up; figures are per thing, in seconds
// times `unit`.
Result measure(const std::string& key, double unit, std::int64_t count,
               const std::function<void()>& f) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kRepeats = 31;
  f();
  std::vector<double> times;
  for (std::size_t i = 0; i < kRepeats; ++i) {
    const Clock::time_point start = Clock::now();
    f();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    times.push_back(unit * seconds / static_cast<double>(count));
  }
  std::sort(times.begin(), times.end());
  return {key, times[kRepeats / 2], times.front(), times[kRepeats * 9 / 10]};
}

// Whole steps of the blog recipe as a run takes them: the next batch, forward, backward, update.
Result time_blog_step(std::int64_t batch_size) {
  const Recipe& recipe = find_recipe("blog");
  Settings settings(recipe.settings());
  settings.set("batch_size", std::to_string(batch_size), "bench");
  SequenceDataset data(20, kPadToken);
  for (std::uint64_t i = 0; i < 6400; ++i) {
    const ArithmeticSample sample = draw_arithmetic(0, i, 100);
    data.add(arithmetic_tokens(sample.defs + ":" + sample.op),
             arithmetic_tokens(sample.res).front());
  }
  const std::unique_ptr<RecipeModel> model = recipe.make_model(settings);
  ParameterBuffer parameters(model->module(), DType::kFloat32, 0);
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(settings, parameters);
  DataLoader loader(data, {.batch_size = batch_size});
  Trainer trainer([&](const Batch& batch) { return model->evaluate(batch); }, parameters,
                  *optimizer, loader, {});
  const std::int64_t steps = batch_size <= 10 ? 640 : 64;
  return measure(fmt::format("blog_step_b{}_us", batch_size), 1e6, steps, [&] {
    for (std::int64_t i = 0; i < steps; ++i) trainer.step(loader.next());
  });
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
