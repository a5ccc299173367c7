// How fast products of float32 matrices are, by each way that they can take.
#include <fmt/format.h>

#include <maskgrad/ops/math/cublas_description.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/product_math.hpp>

#include "cuda/gpu/bench.hpp"

namespace maskgrad::bench {
namespace {

using ops::ProductMath;

// The rows of a sequence are multiplied by the own kernels, those of samples by cuBLAS.
struct Way {
  ProductMath math;
  bool by_cublas;
};

std::vector<Way> ways() {
  std::vector<Way> all = {
      {ProductMath::kFloat32, false}, {ProductMath::kTf32, false}, {ProductMath::kTf32x3, false}};
  if (!ops::cublas_description().empty()) {
    all.push_back({ProductMath::kFloat32, true});
    all.push_back({ProductMath::kTf32, true});
  }
  return all;
}

void print_product(std::int64_t size, const Way& way, std::FILE* json) {
  const auto numbers = [](const Shape& shape) {
    return Variable(Tensor::full(shape, 0.75, DType::kFloat32, kCuda));
  };
  const Variable x = numbers(way.by_cublas ? Shape{size, size} : Shape{1, size, size}),
                 w = numbers({size, size});
  const ops::WithProductMath with(way.math);
  const double seconds = seconds_on_device([&] { ops::matmul(x, w); }),
               flops = 2.0 * static_cast<double>(size * size) * static_cast<double>(size);
  const std::string math(to_string(way.math)), by = way.by_cublas ? "cuBLAS" : "own kernel";
  std::printf("%-20s %-24s %9.1f %9.1f\n", fmt::format("{}^3", size).c_str(),
              fmt::format("{}, {}", math, by).c_str(), seconds * 1e6, flops / seconds * 1e-12);
  if (json) {
    std::fprintf(json,
                 ",\n  {\"product\": %d, \"math\": \"%s\", \"by\": \"%s\", \"us\": %.2f, "
                 "\"teraflops\": %.2f}",
                 static_cast<int>(size), math.c_str(), by.c_str(), seconds * 1e6,
                 flops / seconds * 1e-12);
  }
}

}  // namespace

void print_products(std::FILE* json) {
  const std::string cublas = ops::cublas_description();
  std::printf("\n%-20s %-24s %9s %9s   %s\n", "product", "by", "us", "TFLOP/s",
              cublas.empty() ? "there is no cuBLAS" : cublas.c_str());
  for (const std::int64_t size : {1024, 4096}) {
    for (const Way& way : ways()) print_product(size, way, json);
  }
}

}  // namespace maskgrad::bench
