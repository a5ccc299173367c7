// The benchmark recurrent.
#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/recurrent/gru.hpp>
#include <maskgrad/layers/recurrent/lstm.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/random.hpp>

#include "cli/bench/benchmarks.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kBatch = 32, kLength = 64, kWidth = 128;

Tensor draw(Random& random) {
  Tensor x = Tensor::empty({kBatch, kLength, kWidth}, DType::kFloat32);
  std::generate_n(x.data<float>(), x.numel(),
                  [&] { return static_cast<float>(random.uniform(-1.0, 1.0)); });
  return x;
}

// From a quarter of the length to all of it.
SequenceMask mixed_lengths() {
  std::vector<std::int64_t> lengths;
  for (std::int64_t b = 0; b < kBatch; ++b) {
    lengths.push_back(kLength / 4 + b * (kLength - kLength / 4) / (kBatch - 1));
  }
  return SequenceMask::from_lengths(lengths, kLength);
}

void add_figures(const std::string& subject, Layer& layer, const SequenceMask& mask,
                 std::vector<Result>& results) {
  ParameterBuffer parameters(layer, DType::kFloat32, /*seed=*/0);
  Random random(0);
  Variable x(draw(random), Variable::kRequiresGrad, mask);
  const Tensor grad_output = draw(random);
  results.push_back(measure(subject, "forward_ms", 1e3, 1, [&] {
    const NoGrad no_grad;
    layer(x);
  }));
  results.push_back(measure(subject, "forward_backward_ms", 1e3, 1, [&] {
    parameters.clear_gradients();
    x.clear_grad();
    Tape tape;
    tape.backward(layer(x), grad_output);
  }));
}

}  // namespace

std::vector<Result> bench_recurrent() {
  std::vector<Result> results;
  for (const bool is_mixed : {false, true}) {
    const SequenceMask mask = is_mixed ? mixed_lengths() : SequenceMask();
    const char* const rows = is_mixed ? "mixed" : "full";
    Lstm lstm(kWidth, kWidth);
    add_figures(fmt::format("lstm_{}", rows), lstm, mask, results);
    Gru gru(kWidth, kWidth);
    add_figures(fmt::format("gru_{}", rows), gru, mask, results);
  }
  return results;
}

}  // namespace maskgrad::apps
