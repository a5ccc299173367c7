#include <array>

#include <maskgrad/ops/attention/reach.hpp>
#include <maskgrad/ops/shape.hpp>
#include <maskgrad/tensor/reach.hpp>

namespace maskgrad::ops {
namespace {

Tensor all_bits(const AttentionMask& mask, const Shape& pairs) {
  return expand(mask.to_bits(), pairs);
}

}  // namespace

Tensor attention_reached(std::size_t input, const Tensor& marked, const Shape& pairs,
                         const Shape& output, const AttentionMask& mask) {
  if (input == 2) return sums_reached(1, marked, pairs, output, mask);
  const Tensor reached_pairs =
      input == 3 ? expand(marked, pairs) : pairs_reached(input, marked, pairs, mask);
  return sums_reached(0, reached_pairs, pairs, output, mask);
}

Tensor pairs_reached(std::size_t input, const Tensor& marked, const Shape& pairs,
                     const AttentionMask& mask) {
  // A head reads the keys of one of H_kv: marked in one is taken as marked in all.
  const int heads = marked.dim(1) == pairs[1] ? 1 : kAlong;
  const std::array<int, 4> of_rows = {0, 1, 2, kAlong}, of_keys = {0, heads, 3, kAlong};
  return both(spread(input == 0 ? of_rows : of_keys, marked, pairs), all_bits(mask, pairs));
}

Tensor sums_reached(std::size_t input, const Tensor& marked, const Shape& pairs, const Shape& sums,
                    const AttentionMask& mask) {
  const Tensor kept = all_bits(mask, pairs);
  const std::array<int, 4> of_pairs = {0, 1, 2, kAlong};
  if (input == 0) return spread(of_pairs, both(marked, kept), sums);
  Tensor reached = Tensor::zeros(sums, DType::kBool);
  const std::int64_t features = sums[3], group = pairs[1] / marked.dim(1);
  for (std::int64_t row = 0; row < pairs[0] * pairs[1] * pairs[2]; ++row) {
    const std::int64_t head = row / pairs[2], b = head / pairs[1], h = head % pairs[1];
    const bool* values =
        marked.data<bool>() + (b * marked.dim(1) + h / group) * pairs[3] * features;
    bool* out = reached.data<bool>() + row * features;
    for (std::int64_t t = 0; t < pairs[3]; ++t) {
      if (!kept.data<bool>()[row * pairs[3] + t]) continue;
      for (std::int64_t j = 0; j < features; ++j) out[j] |= values[t * features + j];
    }
  }
  return reached;
}

}  // namespace maskgrad::ops
