#include <algorithm>

#include <maskgrad/ops/samples/sample.hpp>

namespace maskgrad::ops {

Tensor sample_uniform(Random& random, const Shape& shape, double low, double high) {
  Tensor x = Tensor::empty(shape, DType::kFloat64);
  std::generate_n(x.data<double>(), x.numel(), [&] { return random.uniform(low, high); });
  return x;
}

Tensor sample_bits(Random& random, const Shape& shape, double share) {
  Tensor x = Tensor::empty(shape, DType::kBool);
  std::generate_n(x.data<bool>(), x.numel(), [&] { return random.uniform() < share; });
  return x;
}

Tensor sample_indices(Random& random, const Shape& shape, std::uint32_t bound) {
  Tensor x = Tensor::empty(shape, DType::kInt64);
  std::generate_n(x.data<std::int64_t>(), x.numel(), [&] { return random.below(bound); });
  return x;
}

}  // namespace maskgrad::ops
