#include <algorithm>
#include <cmath>

#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/ops/elementwise.hpp>
#include <maskgrad/ops/mask.hpp>
#include <maskgrad/ops/matmul.hpp>
#include <maskgrad/ops/softmax.hpp>

namespace maskgrad {
namespace {

// [B, S, 1]: -1e9 for masked positions, 0 for the others.
Variable row_offsets(const SequenceMask& mask, DType dtype) {
  const Tensor& bits = mask.bits();
  Tensor offsets = Tensor::empty(bits.shape().concat({1}), dtype, bits.device());
  dispatch_dtype(FloatingTypes{}, dtype, "Reflect", [&]<class T>(T) {
    std::transform(bits.data<bool>(), bits.data<bool>() + bits.numel(), offsets.data<T>(),
                   [](bool keep) { return keep ? T{} : T{-1e9}; });
  });
  return Variable(offsets);
}

}  // namespace

std::string_view to_string(MaskAxis axis) {
  constexpr std::string_view kNames[] = {"key", "query", "none"};
  return kNames[static_cast<std::size_t>(axis)];
}

MaskAxis mask_axis_from_string(std::string_view name) {
  for (const MaskAxis axis : {MaskAxis::kKey, MaskAxis::kQuery, MaskAxis::kNone}) {
    if (to_string(axis) == name) return axis;
  }
  fail("mask", "'{}' is not one of key, query, none", name);
}

Reflect::Reflect(std::int64_t features, MaskAxis axis)
    : Layer("Reflect", axis == MaskAxis::kKey ? MaskRule::kUses : MaskRule::kEnds),
      features_(features),
      axis_(axis),
      q_(parameter("q", {features, features}, glorot_uniform())),
      k_(parameter("k", {features, features}, glorot_uniform())),
      v_(parameter("v", {features, features}, glorot_uniform())) {}

AttentionMask Reflect::pairs(const SequenceMask& mask) const {
  const std::int64_t length = mask.shape()[1];
  if (axis_ != MaskAxis::kKey) return AttentionMask::all(length, length);
  // One segment of what exists: masked queries attend to nothing, and nothing attends to them.
  Tensor segments = mask.bits().to(DType::kInt64);
  std::for_each_n(segments.data<std::int64_t>(), segments.numel(), [](std::int64_t& id) { --id; });
  return AttentionMask::segments(segments);
}

Variable Reflect::weights(const Variable& scores, const SequenceMask& mask) const {
  if (mask.defined() && axis_ == MaskAxis::kKey) {
    const Shape keys = {mask.shape()[0], 1, mask.shape()[1]};
    return ops::masked_softmax(scores, mask.bits().reshape(keys));
  }
  if (mask.defined() && axis_ == MaskAxis::kQuery) {
    return ops::softmax(ops::add(scores, row_offsets(mask, scores.dtype())));
  }
  return ops::softmax(scores);
}

Variable Reflect::forward(const Variable& x) {
  check(x.rank() == 3 && x.dim(2) == features_, "Reflect", "needs [B, S, {}], got {}", features_,
        x.shape());
  // The mask follows the queries to the output. As keys and values, masked rows are filled: a
  // weight of 0 times a NaN would be a NaN. The other two axes read whatever stands there, which is
  // what is wrong with them.
  const bool keeps = axis_ == MaskAxis::kKey;
  const Variable input = keeps ? x : drop_mask(x), filled = keeps ? ops::fill_masked(x) : input;
  const Variable queries =
      ops::scale(ops::matmul(input, q_), 1.0 / std::sqrt(static_cast<double>(features_)));
  const Variable keys = ops::matmul(filled, k_);
  const Variable values = ops::matmul(filled, v_);
  const Variable scores = ops::matmul(queries, keys, false, true);
  return ops::matmul(weights(scores, x.mask()), values);
}

}  // namespace maskgrad
