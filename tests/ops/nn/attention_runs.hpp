// Attention in one pass beside the three operations that it means, both ways.
#pragma once

#include <vector>

#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

struct AttentionSizes {
  std::int64_t batch, heads, key_heads, queries, keys, features, value_features;

  Shape pairs() const { return {batch, heads, queries, keys}; }
  /// Of a bias, every kind that broadcasts to the pairs.
  std::vector<Shape> bias_shapes() const {
    return {{},
            {keys},
            {queries, 1},
            {queries, keys},
            {heads, 1, keys},
            {heads, queries, keys},
            {batch, 1, 1, keys},
            {batch, 1, queries, keys},
            {batch, heads, queries, 1},
            {1, heads, 1, 1},
            pairs()};
  }
};

struct AttentionInputs {
  Tensor q, k, v, g;
  Tensor bias = {};  // undefined: none

  AttentionInputs to(DType dtype) const {
    return {q.to(dtype), k.to(dtype), v.to(dtype), g.to(dtype),
            bias.defined() ? bias.to(dtype) : Tensor()};
  }
};

/// In [-1, 1), as float32 holds them, so that every dtype gets the same.
inline AttentionInputs random_attention(Random& random, const AttentionSizes& d) {
  const auto draw = [&](const Shape& shape) {
    return uniform(random, shape, -1, 1).to(DType::kFloat32).to(DType::kFloat64);
  };
  return {draw({d.batch, d.heads, d.queries, d.features}),
          draw({d.batch, d.key_heads, d.keys, d.features}),
          draw({d.batch, d.key_heads, d.keys, d.value_features}),
          draw({d.batch, d.heads, d.queries, d.value_features})};
}

struct AttentionResults {
  Tensor y, dq, dk, dv;
  Tensor dbias = {};
  SequenceMask mask = {};

  std::vector<std::pair<const char*, Tensor>> all() const {
    return {{"output", y}, {"q", dq}, {"k", dk}, {"v", dv}, {"bias", dbias}};
  }
};

template <class Attention, class Pairs>
AttentionResults run_attention(Attention attention, const AttentionInputs& in, const Pairs& pairs,
                               ops::AttentionOptions options = {}) {
  const Variable q = leaf(in.q), k = leaf(in.k), v = leaf(in.v);
  if (in.bias.defined()) options.bias = leaf(in.bias);
  Tape tape;
  const Variable y = attention(q, k, v, pairs, options);
  tape.backward(y, in.g);
  return {
      y.value(), q.grad(), k.grad(), v.grad(), in.bias.defined() ? options.bias.grad() : Tensor(),
      y.mask()};
}

inline AttentionResults run_fused(const AttentionInputs& in, const ops::AttentionPlan& plan,
                                  const ops::AttentionOptions& options = {}) {
  return run_attention(ops::scaled_dot_product_attention, in, plan, options);
}
inline AttentionResults run_composed(const AttentionInputs& in, const AttentionMask& mask,
                                     const ops::AttentionOptions& options = {}) {
  const AttentionMask kept = mask.defined() ? mask : AttentionMask::all(in.q.dim(2), in.k.dim(2));
  return run_attention(ops::composed_attention, in, kept, options);
}

inline ::testing::AssertionResult are_close(const AttentionResults& a, const AttentionResults& b,
                                            double tolerance) {
  const auto found = a.all(), expected = b.all();
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!expected[i].second.defined()) continue;
    const auto close = is_close(found[i].second, to_doubles(expected[i].second), tolerance);
    if (!close) return ::testing::AssertionFailure() << found[i].first << ": " << close.message();
  }
  return ::testing::AssertionSuccess();
}

inline ::testing::AssertionResult same_bits(const AttentionResults& a, const AttentionResults& b) {
  const auto found = a.all(), expected = b.all();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto same = same_bits(found[i].second, expected[i].second);
    if (!same) return ::testing::AssertionFailure() << found[i].first << ": " << same.message();
  }
  return ::testing::AssertionSuccess();
}

/// A mask of every kind.
inline std::vector<AttentionMask> attention_masks(Random& random, const AttentionSizes& d) {
  const std::int64_t s = d.queries, t = d.keys;
  const auto positions = [&] { return SequenceMask(random_bits(random, {d.batch, t})); };
  std::vector<AttentionMask> masks = {
      {},
      AttentionMask::causal(s, t),
      AttentionMask::causal(s, t, t - s - 3),
      AttentionMask::window(s, t, 9, 4),
      AttentionMask::window(s, t, 70, 0) | AttentionMask::sink(s, t, 3),
      AttentionMask::padding(positions(), s),
      AttentionMask::causal(s, t) & AttentionMask::padding(positions(), s),
      ~AttentionMask::window(s, t, 30, 40),
      AttentionMask::bits(random_bits(random, {s, t}, 0.5)),
      AttentionMask::bits(random_bits(random, {d.heads, s, t}, 0.1)),
      AttentionMask::bits(random_bits(random, {d.batch, d.heads, s, t}, 0.9))};
  if (s == t) {
    Tensor ids = Tensor::empty({d.batch, t}, DType::kInt32);
    std::int32_t id = 0;
    for (std::int64_t i = 0; i < ids.numel(); ++i) {
      id += random.uniform() < 0.05;
      ids.data<std::int32_t>()[i] = id % 5 == 4 ? -1 : id;
    }
    masks.push_back(AttentionMask::segments(ids));
    masks.push_back(AttentionMask::existing(positions()));
  }
  return masks;
}

}  // namespace maskgrad::test
