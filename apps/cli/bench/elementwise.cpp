// The benchmark elementwise.
#include <cstring>
#include <functional>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/random.hpp>

#include "cli/bench/benchmarks.hpp"

namespace maskgrad::apps {
namespace {

using Inputs = std::vector<Variable>;

// An operation, its inputs, and how many bytes it reads and writes.
struct Elementwise {
  const char* name;
  Variable (*run)(const Inputs& x);
  std::vector<Shape> inputs;
};

Inputs draw(const std::vector<Shape>& shapes) {
  Random random(0);
  Inputs inputs;
  for (const Shape& shape : shapes) {
    Tensor x = Tensor::empty(shape, DType::kFloat32);
    std::generate_n(x.data<float>(), x.numel(),
                    [&] { return static_cast<float>(random.uniform(-4, 4)); });
    inputs.emplace_back(x);
  }
  return inputs;
}

// Copies so much memory, on as many threads as operations use.
class Copy {
 public:
  explicit Copy(std::size_t bytes) : from_(bytes, 1), to_(bytes, 0) {}
  void operator()() {
    constexpr std::int64_t kLeast = 64 * 1024;
    parallel_for(std::ssize(from_), kLeast, [&](std::int64_t i, std::int64_t end) {
      std::memcpy(to_.data() + i, from_.data() + i, static_cast<std::size_t>(end - i));
    });
  }

 private:
  std::vector<char> from_, to_;
};

// How many times as long as `other` f takes, measured by turns.
Result compare(const std::string& subject, const std::string& quantity,
               const std::function<void()>& f, const std::function<void()>& other) {
  f();
  const auto count = static_cast<std::int64_t>(1 + 1e-3 / seconds_of(f));
  const auto time = [count](const std::function<void()>& g) {
    return seconds_of([&] {
      for (std::int64_t i = 0; i < count; ++i) g();
    });
  };
  time(other);
  std::vector<double> figures;
  for (std::size_t i = 0; i < kRepeats; ++i) figures.push_back(time(f) / time(other));
  return summarize(subject, quantity, std::move(figures));
}

const Shape kShape = {64, 48, 128};

void add_results(const Elementwise& op, std::vector<Result>& results) {
  const Inputs x = draw(op.inputs);
  const auto run = [&] { op.run(x); };
  std::size_t bytes = static_cast<std::size_t>(kShape.numel()) * sizeof(float);
  for (const Variable& input : x) bytes += input.value().nbytes();
  Result once = measure_often(op.name, run);
  once.work = {1e-9 * static_cast<double>(bytes), "GB/s"};
  results.push_back(once);
  // A copy reads half of the bytes and writes the other half.
  results.push_back(compare(op.name, "per_copy", run, Copy(bytes / 2)));
}

// The function alone: the same elements, as many at a time as the nearest cache holds.
Result compare_with_function(const Elementwise& op) {
  constexpr std::int64_t kNear = 2048;
  const Inputs x = draw(op.inputs), near = draw({{kNear}});
  return compare(
      op.name, "per_function", [&] { op.run(x); },
      [&] {
        for (std::int64_t i = 0; i < kShape.numel(); i += kNear) op.run(near);
      });
}

}  // namespace

std::vector<Result> bench_elementwise() {
  const NoGrad no_grad;
  const auto add = [](const Inputs& x) { return ops::add(x[0], x[1]); };
  const Elementwise plain[] = {
      {"add", add, {kShape, kShape}},
      {"multiply", [](const Inputs& x) { return ops::multiply(x[0], x[1]); }, {kShape, kShape}},
      {"relu", [](const Inputs& x) { return ops::relu(x[0]); }, {kShape}},
      {"add_row", add, {kShape, {kShape.dim(-1)}}},
      {"add_column", add, {kShape, kShape.with_dim(2, 1)}},
  };
  const Elementwise functions[] = {
      {"gelu", [](const Inputs& x) { return ops::gelu(x[0]); }, {kShape}},
      {"silu", [](const Inputs& x) { return ops::silu(x[0]); }, {kShape}},
  };
  std::vector<Result> results;
  for (const Elementwise& op : plain) add_results(op, results);
  for (const Elementwise& op : functions) {
    add_results(op, results);
    results.push_back(compare_with_function(op));
  }
  return results;
}

}  // namespace maskgrad::apps
