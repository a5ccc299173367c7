// maskgrad bench
#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/run/run_files.hpp>

#include "cli/bench/benchmarks.hpp"
#include "cli/bench/machine.hpp"
#include "cli/command.hpp"
#include "cli/device.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::vector<std::string> names;
  std::string json;
  int threads = 1;
  DeviceChoice on = {};
  AttentionSizes attention;
  TransformerSizes transformer;
};

struct Benchmark {
  std::string name, what;
  std::function<std::vector<Result>(const Options&, Device)> run;
  bool on_any_device = false;  // else on the CPU alone
};

const std::vector<Benchmark>& benchmarks() {
  static const std::vector<Benchmark> all = {
      {"blog-step",
       "whole training steps of the blog recipe at batch 2 and 100, one float32 model each",
       [](const Options&, Device device) { return bench_blog_step(device); }, true},
      {"attention",
       "attention under six masks at the lengths of --seq: forward alone, and with backward",
       [](const Options& options, Device device) {
         return bench_attention(options.attention, device);
       },
       true},
      {"transformer",
       "training steps of small GPTs on full and on mixed rows, and text from one of them",
       [](const Options& options, Device) { return bench_transformer(options.transformer); }},
      {"recurrent", "an LSTM and a GRU of width 128 on full and on mixed rows, and their gradients",
       [](const Options&, Device) { return bench_recurrent(); }},
      {"mask-overhead",
       "how many percent longer a blog step takes with the key mask than with none",
       [](const Options&, Device) { return bench_mask_overhead(); }},
      {"packing", "steps on padded and on packed batches, short samples and long uneven ones",
       [](const Options&, Device) { return bench_packing(); }},
      {"kernels",
       "products of matrices, Adam, loss and embedding, beside the limits of the machine",
       [](const Options&, Device) { return bench_kernels(); }},
      {"elementwise",
       "operations on each element, beside a copy of as many bytes, and beside the bare function",
       [](const Options&, Device) { return bench_elementwise(); }},
      {"op-overhead",
       "what one operation on a single element costs: recorded, and with its backward",
       [](const Options&, Device) { return bench_op_overhead(); }},
  };
  return all;
}

// Where the benchmark runs: auto takes the CPU for one that has no other device.
Device device_of(const Benchmark& benchmark, const DeviceChoice& on) {
  return benchmark.on_any_device || !on.is_auto ? on.device : Device{};
}

bool runs_on(const Benchmark& benchmark, Device device) {
  return benchmark.on_any_device || device == Device{};
}

void check_names(const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const Benchmark& benchmark : benchmarks()) known.push_back(benchmark.name);
  for (const std::string& name : names) {
    check(std::count(known.begin(), known.end(), name) > 0, "bench", "there is no benchmark '{}'{}",
          shortened(name), nearest_or_see(name, known, "bench --help"));
  }
}

bool is_chosen(const Benchmark& benchmark, const Options& options) {
  return options.names.empty() || std::ranges::count(options.names, benchmark.name) > 0;
}

// Those that are named must run there. Of all, the others are left out, and that is said.
void check_device(const Options& options) {
  std::vector<std::string> left_out;
  for (const Benchmark& benchmark : benchmarks()) {
    const bool runs = runs_on(benchmark, device_of(benchmark, options.on));
    if (runs || !is_chosen(benchmark, options)) continue;
    check(options.names.empty(), "bench",
          "the benchmark {} runs on the CPU alone: leave it out, or --device", benchmark.name);
    left_out.push_back(benchmark.name);
  }
  if (left_out.empty()) return;
  warn(fmt::format("left out, as they run on the CPU alone: {}", fmt::join(left_out, ", ")));
}

// Where --device auto takes the CPU for a benchmark, its products are those of the CPU.
void warn_of_math(const Options& options) {
  if (ops::product_math() == ops::ProductMath::kFloat32) return;
  for (const Benchmark& benchmark : benchmarks()) {
    if (!is_chosen(benchmark, options) || device_of(benchmark, options.on) != Device{}) continue;
    warn(fmt::format("{} runs on the CPU, whose products are float32, whatever --math says",
                     benchmark.name));
  }
}

std::vector<Result> run_benchmarks(const Options& options) {
  std::vector<Result> results;
  for (const Benchmark& benchmark : benchmarks()) {
    const Device device = device_of(benchmark, options.on);
    if (!is_chosen(benchmark, options) || !runs_on(benchmark, device)) continue;
    write_message(fmt::format("benchmark {}\n", benchmark.name));
    for (Result& result : benchmark.run(options, device)) {
      result.device = device.type;
      results.push_back(std::move(result));
    }
  }
  return results;
}

// At least two decimals, and three digits that count.
std::string in_digits(double value) {
  const double small = value > 0 ? std::ceil(-std::log10(value)) : 0;
  return fmt::format("{:.{}f}", value, 2 + static_cast<int>(std::max(small, 0.0)));
}

void print_table(const std::vector<Result>& results) {
  const auto any = [&](auto has) { return std::any_of(results.begin(), results.end(), has); };
  const bool any_mask = any([](const Result& r) { return r.kept_share.has_value(); });
  const bool any_work = any([](const Result& r) { return r.work.has_value(); });
  std::vector<std::vector<std::string>> rows = {{"benchmark", "device", "median", "min", "p90"}};
  if (any_mask) rows[0].push_back("kept");
  if (any_work) rows[0].push_back("rate");
  for (const Result& result : results) {
    rows.push_back({result.key(), std::string(to_string(result.device)), in_digits(result.median),
                    in_digits(result.min), in_digits(result.p90)});
    if (any_mask) {
      rows.back().push_back(result.kept_share ? fmt::format("{:.3f}", *result.kept_share) : "");
    }
    if (any_work) rows.back().push_back(result.rate());
  }
  write_output(format_table(rows, output_columns()));
  const DeviceCounts steps = device_counts();
  if (steps.steps() == 0) return;
  write_output(
      fmt::format("training steps of the GPU: {} replayed as graphs, {} recorded, {} neither\n",
                  steps.replayed, steps.recorded, steps.eager + steps.broken));
}

void add_device_facts(nlohmann::ordered_json& json, const std::vector<std::string>& on_cpu,
                      const std::string& cublas) {
  if (!on_cpu.empty()) json["on_cpu"] = on_cpu;
  json["math"] = ops::to_string(ops::product_math());
  json["machine"]["cublas"] = cublas;
  const DeviceCounts steps = device_counts();
  if (steps.steps() == 0) return;
  json["device_steps"] = {{"replayed", steps.replayed},
                          {"recorded", steps.recorded},
                          {"eager", steps.eager},
                          {"broken", steps.broken}};
}

// "device" is where the figures were taken. Where --device auto took several, it is the GPU, and
// "on_cpu" has the names of the others.
std::string to_json(const std::vector<Result>& results, const std::string& cublas) {
  nlohmann::ordered_json json;
  std::vector<std::string> on_cpu;
  for (const Result& result : results) {
    json[result.key()] = result.median;
    if (result.device == DeviceType::kCpu) on_cpu.push_back(result.key());
    if (result.kept_share) json[result.subject + "_kept_share"] = *result.kept_share;
  }
  const Machine machine = this_machine();
  const bool all_on_cpu = on_cpu.size() == results.size();
  json["device"] = to_string(all_on_cpu ? DeviceType::kCpu : DeviceType::kCuda);
  json["machine"] = {{"processor", machine.processor},       {"threads", machine.threads},
                     {"compiler", machine.compiler},         {"native", machine.native},
                     {"instructions", machine.instructions}, {"blas", machine.blas}};
  if (!all_on_cpu) add_device_facts(json, on_cpu, cublas);
  return json.dump(2) + "\n";
}

void bench(const Options& options) {
  as_usage([&] {
    check_names(options.names);
    check_sizes(options.attention);
    check_sizes(options.transformer);
    set_num_threads(options.threads);
    check_device(options);
  });
  warn_of_math(options);
  std::string cublas;
  if (!options.json.empty()) {
    check_is_of_no_run(options.json, "bench");
    // Better to hear now that it cannot be written than when all is measured.
    const AtomicFile attempt(options.json);
    if (options.on.device != Device{}) cublas = cublas_of_device();
  }
  const std::vector<Result> results = run_benchmarks(options);
  print_table(results);
  if (!options.json.empty()) write_file(options.json, to_json(results, cublas));
}

void add_attention_options(CLI::App& command, AttentionSizes& sizes) {
  const auto add = [&](auto* option) { option->group("Attention"); };
  add(add_integers(command, "--seq", sizes.lengths, "Lengths of the sequences"));
  add(add_integer(command, "--batch", sizes.batch, "How many sequences"));
  add(add_integer(command, "--heads", sizes.heads, "How many heads"));
  add(add_integer(command, "--dim", sizes.dim, "Features of a head"));
}

}  // namespace

void add_bench(CLI::App& program) {
  auto* command = program.add_subcommand("bench", "Run the benchmarks");
  auto options = std::make_shared<Options>();
  command->add_option("NAME", options->names, "Benchmarks to run; all if none is given")
      ->type_name("");
  command
      ->add_option("--json", options->json,
                   "JSON file for the medians, by name, and for the machine's details")
      ->type_name("FILE");
  add_integer(*command, "--threads", options->threads, "How many threads to use");
  add_device(*command, options->on);
  add_math(*command, options->on.device);
  add_attention_options(*command, options->attention);
  add_integers(*command, "--width", options->transformer.widths, "Widths of the models")
      ->group("Transformer");
  std::string footer = "Benchmarks:\n";
  for (const Benchmark& b : benchmarks()) {
    footer += fmt::format("  {:<27} {}{}\n", b.name, b.what,
                          b.on_any_device ? "; --device may be cuda" : "");
  }
  command->footer(footer + "\n" +
                  examples({"bench blog-step attention --seq 128 512 --json figures.json"}));
  command->callback([options] { bench(*options); });
}

}  // namespace maskgrad::apps
