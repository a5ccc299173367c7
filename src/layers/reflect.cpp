#include <algorithm>

#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

// [B, 1, S, 1]: -1e9 for masked positions, 0 for the others.
Variable row_offsets(const SequenceMask& mask, DType dtype, Device device) {
  const Tensor& bits = mask.bits();
  Tensor offsets = Tensor::empty({bits.dim(0), 1, bits.dim(1), 1}, dtype);
  dispatch_dtype(FloatingTypes{}, dtype, "Reflect", [&]<class T>(T) {
    std::transform(bits.data<bool>(), bits.data<bool>() + bits.numel(), offsets.data<T>(),
                   [](bool keep) { return keep ? T{} : T{-1e9}; });
  });
  return Variable(offsets.to(device));
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
    : MultiHeadAttention("Reflect", axis == MaskAxis::kKey ? MaskRule::kUses : MaskRule::kEnds,
                         features, 1, {.bias = false, .output_matrix = false}),
      axis_(axis) {}

AttentionMask Reflect::pairs(const SequenceMask& mask) const {
  check_given(mask.defined(), "Reflect", "the mask");
  const std::int64_t length = mask.shape()[1];
  return axis_ == MaskAxis::kKey ? AttentionMask::existing(mask)
                                 : AttentionMask::all(length, length);
}

std::optional<ops::Work> Reflect::row_work() const {
  return axis_ == MaskAxis::kKey ? MultiHeadAttention::row_work() : std::nullopt;
}

Variable Reflect::forward(const Variable& x, Pass& pass) {
  if (axis_ == MaskAxis::kKey) return MultiHeadAttention::forward(x, pass);
  check_input(x);
  ops::AttentionOptions options;
  if (x.mask().defined() && axis_ == MaskAxis::kQuery) {
    options.bias = row_offsets(x.mask(), x.dtype(), x.device());
  }
  // These axes read whatever stands at padding, which is what is wrong with them.
  return attend_within(drop_mask(x), {}, std::move(options));
}

}  // namespace maskgrad
