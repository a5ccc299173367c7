#include <cmath>

#include <maskgrad/ops/attention/common.hpp>
#include <maskgrad/ops/shape.hpp>

namespace maskgrad::ops {
namespace {

Tensor all_bits(const AttentionMask& mask, const Shape& pairs) {
  return expand(mask.to_bits(), pairs);
}

}  // namespace

AttentionMask mask_of_call(const OpCall& call, std::int64_t queries, std::int64_t keys) {
  if (!call.has("mask")) return {};
  return AttentionMask::bits(call.input("mask").value(), queries, keys);
}

void check_no_sequence_mask(const OpDef& op, std::initializer_list<const Variable*> inputs) {
  for (const Variable* input : inputs) {
    check(!input->mask().defined(), op.name.c_str(),
          "an input of {} carries a mask; give it as AttentionMask::padding, and drop_mask() it",
          input->shape());
  }
}

void check_pairs(const OpDef& op, const Shape& rows, const Shape& keys, const Shape& pairs,
                 const AttentionMask& mask) {
  const char* name = op.name.c_str();
  check(rows[0] == keys[0], name, "batches differ: {} and {}", rows, keys);
  check(keys[1] > 0 && rows[1] % keys[1] == 0, name,
        "heads of keys must divide heads of queries: {} and {}", rows, keys);
  check(mask.defined(), name, "needs a mask; AttentionMask::all() keeps every pair");
  check(can_broadcast(mask.shape(), pairs) && mask.shape()[2] == pairs[2] &&
            mask.shape()[3] == pairs[3],
        name, "a mask of {} does not fit pairs of {}", mask.shape(), pairs);
}

void check_heads(const OpDef& op, const char* what, const Variable& x) {
  check(x.rank() == 4, op.name.c_str(), "{} must be [B, H, S, D], got {}", what, x.shape());
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

double attention_scale(const AttentionOptions& options, std::int64_t features) {
  return options.scale.value_or(
      1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, features))));
}

}  // namespace maskgrad::ops
