// The benchmark kernels.
#include <fmt/format.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/cpu/roofline.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/optim/adam.hpp>

#include "cli/bench/benchmarks.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kParameters = 49152;

Variable draw(Random& random, const Shape& shape) {
  Tensor x = Tensor::empty(shape, DType::kFloat32);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    x.data<float>()[i] = static_cast<float>(random.uniform(-1, 1));
  }
  return Variable(x);
}
Variable draw_ids(Random& random, const Shape& shape, std::int64_t below) {
  Tensor ids = Tensor::empty(shape, DType::kInt64);
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    ids.data<std::int64_t>()[i] = random.integer(0, below - 1);
  }
  return Variable(ids);
}

// Memory that the second-level cache holds, read and written.
Result time_stream() {
  std::vector<float> x(kParameters, 1.0F), y(kParameters, 0.0F);
  Result result = measure_often("stream_384k", [&] { ops::stream(x, y); });
  result.work = {1e-9 * 12 * kParameters, "GB/s"};
  return result;
}

struct Product {
  std::int64_t m, k, n;
  bool transpose_a = false, transpose_b = false;
};

Result time_product(Random& random, const Product& d) {
  const Variable a = draw(random, d.transpose_a ? Shape{d.k, d.m} : Shape{d.m, d.k});
  const Variable b = draw(random, d.transpose_b ? Shape{d.n, d.k} : Shape{d.k, d.n});
  const NoGrad no_grad;
  const std::string name =
      fmt::format("product_{}x{}{}_{}x{}{}", d.m, d.k, d.transpose_a ? "_t" : "", d.k, d.n,
                  d.transpose_b ? "_t" : "");
  Result result = measure_often(name, [&] { ops::matmul(a, b, d.transpose_a, d.transpose_b); });
  result.work = {2e-9 * static_cast<double>(d.m * d.k * d.n), "GFLOP/s"};
  return result;
}

Result time_adam() {
  Dense layer(255, 192);  // 49,152 parameters
  ParameterBuffer parameters(layer, DType::kFloat32, 0);
  Adam adam(parameters);
  Result result = measure_often("adam_49152", [&] { adam.step(parameters, 1e-3); });
  result.work = {1e-9 * 28 * kParameters, "GB/s"};
  return result;
}

Result time_cross_entropy(Random& random) {
  const Variable logits(draw(random, {100, 20}).value(), Variable::kRequiresGrad);
  const Tensor targets = draw_ids(random, {100}, 20).value();
  return measure_often("cross_entropy_100x20_forward_backward", [&] {
    Tape tape;
    tape.backward(ops::cross_entropy(logits, targets).sum);
  });
}

Result time_embedding(Random& random) {
  const Variable table(draw(random, {20, 15}).value(), Variable::kRequiresGrad);
  const Variable tokens = draw_ids(random, {100, 20}, 20);
  const Tensor g = draw(random, {100, 20, 15}).value();
  return measure_often("embedding_100x20x15_forward_backward", [&] {
    Tape tape;
    tape.backward(ops::embedding(table, tokens), g);
  });
}

}  // namespace

Result time_multiply_adds() {
  std::int64_t count = 0;
  Result result = measure_often("multiply_adds", [&] { count = ops::run_multiply_adds(100000); });
  result.work = {2e-9 * static_cast<double>(count), "GFLOP/s"};
  return result;
}

std::vector<Result> bench_kernels() {
  Random random(0);
  std::vector<Result> results = {time_multiply_adds(), time_stream()};
  for (const Product& product : {Product{100, 300, 150},
                                 {100, 150, 300, false, true},
                                 {300, 100, 150, true},
                                 {2000, 15, 15},
                                 {512, 512, 512},
                                 {2, 300, 150},
                                 {2, 150, 300, false, true},
                                 {300, 2, 150, true}}) {
    results.push_back(time_product(random, product));
  }
  results.push_back(time_adam());
  results.push_back(time_cross_entropy(random));
  results.push_back(time_embedding(random));
  return results;
}

}  // namespace maskgrad::apps
