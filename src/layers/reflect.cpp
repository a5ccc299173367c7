#include <algorithm>

#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/nn/self_attention.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

// [B, 1, S, 1]: -1e9 for masked positions, 0 for the others.
Variable row_offsets(const SequenceMask& mask, DType dtype) {
  const Tensor& bits = mask.bits();
  Tensor offsets = Tensor::empty({bits.dim(0), 1, bits.dim(1), 1}, dtype, bits.device());
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
  fail("mask", "'{}' is not one of key, query, none", shortened(name));
}

Reflect::Reflect(std::int64_t features, MaskAxis axis)
    : Layer("Reflect", axis == MaskAxis::kKey ? MaskRule::kUses : MaskRule::kEnds),
      features_(features),
      axis_(axis),
      q_(parameter("q", {features, features}, glorot_uniform())),
      k_(parameter("k", {features, features}, glorot_uniform())),
      v_(parameter("v", {features, features}, glorot_uniform())) {}

AttentionMask Reflect::pairs(const SequenceMask& mask) const {
  check_given(mask.defined(), "Reflect", "the mask");
  const std::int64_t length = mask.shape()[1];
  return axis_ == MaskAxis::kKey ? AttentionMask::existing(mask)
                                 : AttentionMask::all(length, length);
}

std::optional<ops::Work> Reflect::row_work() const {
  if (axis_ != MaskAxis::kKey) return std::nullopt;
  return ops::Work{.per_position = 9 * q_.shape().numel(), .per_pair = 7 * features_ + 32};
}

Variable Reflect::forward(const Variable& x, Pass& pass) {
  check(x.rank() == 3 && x.dim(2) == features_, "Reflect", "needs [B, S, {}], got {}", features_,
        x.shape());
  const bool keeps = axis_ == MaskAxis::kKey;
  // The other two axes read whatever stands at padding, which is what is wrong with them.
  const Variable input = keeps ? ops::fill_masked(x) : drop_mask(x);
  ops::AttentionOptions options;
  if (x.mask().defined() && axis_ == MaskAxis::kQuery) {
    options.bias = row_offsets(x.mask(), x.dtype());
  }
  const Variable qkv = ops::stacked_matmul(input, {&q_.variable(), &k_.variable(), &v_.variable()});
  return ops::self_attention(qkv, keeps ? pass.attention(x) : ops::AttentionPlan(), options);
}

}  // namespace maskgrad
