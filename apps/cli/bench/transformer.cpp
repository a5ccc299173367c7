// The benchmark transformer.
#include <fmt/format.h>

#include <maskgrad/layers/generate/generate.hpp>
#include <maskgrad/ops/cpu/roofline.hpp>

#include "cli/bench/benchmarks.hpp"
#include "cli/bench/language_model_steps.hpp"

namespace maskgrad::apps {
namespace {

// How deep a model of this width is, and how many rows it trains on at once.
struct ModelSizes {
  explicit ModelSizes(std::int64_t width)
      : features(width), layers(1 + width / 64), batch(width < 128 ? 32 : 64) {}
  std::int64_t features, layers, batch;
};

// `batch` lengths, spread evenly from `shortest` to `longest`.
std::vector<std::int64_t> lengths(std::int64_t batch, std::int64_t shortest, std::int64_t longest) {
  std::vector<std::int64_t> all;
  for (std::int64_t b = 0; b < batch; ++b) {
    all.push_back(shortest + ((longest - shortest) * b + (batch - 1) / 2) / (batch - 1));
  }
  return all;
}

// The same figures told in another unit.
template <class F>
Result retold(const Result& us, const std::string& quantity, F f) {
  return summarize(us.subject, quantity, {f(us.min), f(us.median), f(us.p90)});
}

void add_training(const ModelSizes& sizes, bool is_full, std::vector<Result>& results) {
  BenchModel model({sizes.features, sizes.layers});
  const std::int64_t longest = model.sizes().positions;
  LanguageModelSteps steps(model, lengths(sizes.batch, is_full ? longest : 16, longest));
  Result us = measure(fmt::format("transformer_w{}_{}", sizes.features, is_full ? "full" : "mixed"),
                      "step_us", 1e6, 1, [&] { steps(); });
  us.work = {1e-9 * steps.flops(), "GFLOP/s"};
  results.push_back(us);
  results.push_back(retold(us, "tokens_per_s", [&](double t) {
    return static_cast<double>(steps.tokens()) / (1e-6 * t);
  }));
  results.push_back(retold(us, "gflop_per_s", [&](double t) { return steps.flops() / (1e3 * t); }));
  results.push_back(summarize(us.subject, "peak_mb", {steps.peak_megabytes()}));
}

// What generation cannot be faster than where it makes one token at a time: all parameters are
// read.
Result time_weights(BenchModel& model) {
  const std::span<const float> values = std::as_const(model.parameters()).values().values<float>();
  float kept = 0;
  Result result = measure_often(fmt::format("weights_w{}_read", model.sizes().features),
                                [&] { kept += ops::read_all(values); });
  result.work = {1e-9 * static_cast<double>(values.size_bytes()), "GB/s"};
  return result;
}

// Texts of kTokens tokens behind prompts of one.
constexpr std::int64_t kTokens = 100;

Result time_generation(std::int64_t batch, BenchModel& model) {
  const LanguageModel run = [&](const Variable& tokens, Pass& pass) { return model(tokens, pass); };
  const std::vector<Tokens> prompts(static_cast<std::size_t>(batch), Tokens{1});
  const std::string width = fmt::format("generate_w{}", model.sizes().features);
  Result us = measure(batch == 1 ? width : fmt::format("{}_b{}", width, batch), "us_per_token", 1e6,
                      kTokens * batch, [&] { generate(run, prompts, {.tokens = kTokens}); });
  const double flops = model.forward_flops(kTokens, kTokens * (kTokens + 1) / 2);
  us.work = {1e-9 * flops / kTokens, "GFLOP/s"};
  return us;
}

void add_generation(const ModelSizes& sizes, std::vector<Result>& results) {
  BenchModel model({sizes.features, sizes.layers, /*positions=*/128});
  results.push_back(time_weights(model));
  for (const std::int64_t batch : {1, 64}) results.push_back(time_generation(batch, model));
}

}  // namespace

void check_sizes(const TransformerSizes& sizes) {
  for (const std::int64_t width : sizes.widths) {
    check(width >= 32 && width <= 4096 && width % 32 == 0, "bench",
          "--width must be a multiple of 32 from 32 to 4096, not {}", width);
  }
}

std::vector<Result> bench_transformer(const TransformerSizes& sizes) {
  std::vector<Result> results = {time_multiply_adds()};
  for (const std::int64_t width : sizes.widths) {
    for (const bool is_full : {true, false}) add_training(ModelSizes(width), is_full, results);
  }
  for (const std::int64_t width : sizes.widths) add_generation(ModelSizes(width), results);
  return results;
}

}  // namespace maskgrad::apps
