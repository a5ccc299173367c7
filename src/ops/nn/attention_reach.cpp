#include <array>

#include <maskgrad/ops/nn/attention_reach.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad::ops {
namespace {

Tensor all_bits(const AttentionMask& mask, const Shape& pairs) {
  return expand(mask.to_bits(), pairs);
}

}  // namespace

Tensor attention_reached(std::size_t input, const Tensor& marked, const Way& way,
                         const Shape& pairs, const AttentionMask& mask) {
  if (input == 2) return sums_reached(1, marked, way, pairs, mask);
  const Way to_pairs = {way.input, pairs, way.back}, to_sums = {pairs, way.output, way.back};
  const auto between = [&](const Tensor& marks) {
    return input == 3 ? spread(Reach::kElement, marks, to_pairs)
                      : pairs_reached(input, marks, to_pairs, mask);
  };
  return way.back ? between(sums_reached(0, marked, to_sums, pairs, mask))
                  : sums_reached(0, between(marked), to_sums, pairs, mask);
}

Tensor pairs_reached(std::size_t input, const Tensor& marked, const Way& way,
                     const AttentionMask& mask) {
  // A head reads the keys of one of H_kv: marked in one is taken as marked in all.
  const int heads = way.input.dim(1) == way.output[1] ? 1 : kAlong;
  const std::array<int, 4> of_rows = {0, 1, 2, kAlong}, of_keys = {0, heads, 3, kAlong};
  const std::array<int, 4>& ties = input == 0 ? of_rows : of_keys;
  const Tensor kept = all_bits(mask, way.output);
  return way.back ? spread(ties, both(marked, kept), way) : both(spread(ties, marked, way), kept);
}

Tensor sums_reached(std::size_t input, const Tensor& marked, const Way& way, const Shape& pairs,
                    const AttentionMask& mask) {
  const Tensor kept = all_bits(mask, pairs);
  if (input == 0) {
    const std::array<int, 4> of_pairs = {0, 1, 2, kAlong};
    return way.back ? both(spread(of_pairs, marked, way), kept)
                    : spread(of_pairs, both(marked, kept), way);
  }
  Tensor reached = Tensor::zeros(way.to(), DType::kBool);
  const std::int64_t features = way.output[3], group = pairs[1] / way.input[1];
  const bool *keep = kept.data<bool>(), *from = marked.data<bool>();
  bool* to = reached.data<bool>();
  for (std::int64_t pair = 0; pair < pairs.numel(); ++pair) {
    if (!keep[pair]) continue;
    const std::int64_t row = pair / pairs[3], t = pair % pairs[3], head = row / pairs[2];
    const std::int64_t b = head / pairs[1], h = head % pairs[1];
    const std::int64_t value = ((b * way.input[1] + h / group) * pairs[3] + t) * features;
    const std::int64_t sum = row * features;
    const bool* const of = from + (way.back ? sum : value);
    bool* const into = to + (way.back ? value : sum);
    for (std::int64_t j = 0; j < features; ++j) into[j] |= of[j];
  }
  return reached;
}

}  // namespace maskgrad::ops
