// Pieces of models that do right by masks, and what they share with those that do not.
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/rms_norm.hpp>
#include <maskgrad/ops/nn/rotary.hpp>
#include <maskgrad/ops/nn/self_attention.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/segments.hpp>
#include <maskgrad/ops/shape/slice.hpp>

#include "layers/random_pieces.hpp"

namespace maskgrad::test {

Variable bits_of(const Variable& x) {
  const SequenceMask& mask = x.mask();
  return Variable(mask.bits().to(x.dtype()).reshape(mask.shape().concat({1})));
}

SequenceMask shifted(const SequenceMask& mask) {
  Tensor bits = mask.bits().clone();
  const std::int64_t length = bits.dim(1);
  for (std::int64_t i = 0; i < bits.numel(); ++i) {
    bits.data<bool>()[i] = i % length > 0 && mask.bits().data<bool>()[i - 1];
  }
  return SequenceMask(bits);
}

Variable attend(const Variable& x, const Variable& q, const Variable& k, const Variable& v,
                const AttentionMask& mask) {
  return ops::with_mask(ops::scaled_dot_product_attention(q, k, v, mask), x.mask());
}

Variable attend_by_pairs(const Variable& x, const Weights& w, const AttentionMask& mask) {
  const auto project = [&](const Variable& m) {
    const Variable y = drop_mask(ops::matmul(x, m));
    return ops::reshape(y, {y.dim(0), 1, y.dim(1), y.dim(2)});
  };
  const Variable scores = ops::attention_scores(project(w.q), project(w.k), mask);
  const Variable weights = ops::masked_softmax(scores, mask.to_bits());
  const Variable y = ops::attention_values(weights, project(w.v), mask);
  return ops::with_mask(ops::reshape(y, {y.dim(0), y.dim(2), y.dim(3)}), x.mask());
}

Tensor lengths_of(const Variable& x) {
  return Tensor::full({x.dim(0)}, static_cast<double>(x.dim(1)), DType::kInt64);
}

const std::vector<Piece>& sound_pieces() {
  static const std::vector<Piece> pieces = {
      {"linear", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) { return ops::linear(x, w.q, w.bias); }},
      {"linear_relu", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) {
         return ops::linear(x, w.q, w.bias, ops::LinearActivation::kRelu);
       }},
      {"gelu_of_matmul", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) { return ops::gelu(ops::matmul(x, w.q)); }},
      {"layer_norm", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) { return ops::layer_norm(x, w.row, w.bias); }},
      {"rms_norm", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) { return ops::rms_norm(x, w.row); }},
      {"rotated_pairs", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights&) {
         const Tensor positions = Tensor::full({1, x.dim(1)}, 2, DType::kInt64);
         const Variable y = ops::rotary_embedding(ops::concat({x, x}, 2), positions);
         return ops::slice(y, 2, 0, kPieceFeatures);
       }},
      {"residual", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) {
         return ops::add(x, ops::linear(x, w.k, w.bias));
       }},
      {"gate", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) {
         return ops::multiply(x, ops::sigmoid(ops::linear(x, w.v, w.bias)));
       }},
      {"positions", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) { return ops::add(x, w.positions); }},
      {"scaled_by_row", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) { return ops::multiply(x, w.row); }},
      {"divided_by_mean", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights&) {
         const std::int64_t features[] = {2};
         return ops::divide(x, ops::exp(ops::mean(x, features, true)));
       }},
      {"softmax_of_features", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights&) { return ops::softmax(x); }},
      {"minus_mean_of_positions", false, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         const Variable mean = ops::masked_mean(x, 1, true);
         return ops::with_mask(ops::subtract(ops::fill_masked(x), mean), x.mask());
       }},
      {"without_first", false, MaskRule::kChanges,
       [](const Variable& x, const Weights&) {
         Tensor bits = x.mask().bits().clone();
         for (std::int64_t b = 0; b < x.dim(0); ++b) bits.data<bool>()[b * x.dim(1)] = false;
         return ops::with_mask(x, SequenceMask(bits));
       }},
      {"multiplied_everywhere_and_masked", false, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         return ops::with_mask(ops::multiply(drop_mask(x), bits_of(x)), x.mask());
       }},
      {"rectified_everywhere_plus_row", false, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return ops::with_mask(ops::relu(ops::add(drop_mask(x), w.row)), x.mask());
       }},
      {"maximum_everywhere_with_row", false, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return ops::with_mask(ops::maximum(drop_mask(x), w.row), x.mask());
       }},
      {"turned_around", false, MaskRule::kChanges,
       [](const Variable& x, const Weights&) {
         return ops::reverse_packed_segs(x, lengths_of(x), true);
       }},
      {"doubled_and_halved", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) {
         const Variable both = ops::concat({x, ops::multiply(x, w.row)}, 2);
         return ops::mean(ops::reshape(both, {x.dim(0), x.dim(1), 2, kPieceFeatures}), {2});
       }},
      {"some_features_normalised", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights& w) {
         const Tensor keep = Tensor::from<bool>({true, false, true}, {kPieceFeatures});
         return ops::masked_layer_norm(x, keep, w.row, w.bias);
       }},
      {"dropout", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights&) { return ops::dropout(x, 0.3, Random(5)); }},
      {"root_of_softplus", false, MaskRule::kKeeps,
       [](const Variable& x, const Weights&) { return ops::sqrt(ops::softplus(ops::abs(x))); }},
      {"packed", false, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         const ops::Packing packing = ops::packing_of(x.mask());
         return ops::unpack(ops::linear(ops::pack(x, packing), w.q, w.bias), packing);
       }},
      {"attention_with_bias", false, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         const auto project = [&](const Variable& m) { return drop_mask(ops::matmul(x, m)); };
         const Variable bias = ops::matmul(w.positions, w.positions, false, true);
         return ops::with_mask(
             ops::scaled_dot_product_attention(
                 project(w.q), project(w.k), project(w.v), AttentionMask::existing(x.mask()),
                 {.bias = bias, .softcap = 2.0, .dropout = 0.2, .random = Random(6)}),
             x.mask());
       }},
      {"attention_by_pairs", false, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return attend_by_pairs(x, w, AttentionMask::existing(x.mask()));
       }},
      {"attention_of_filled", false, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         const Variable h = ops::fill_masked(x);
         return attend(x, ops::matmul(h, w.q), ops::matmul(h, w.k), ops::matmul(h, w.v),
                       AttentionMask::padding(x.mask()));
       }},
      {"attention_projected_first", false, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         const auto project = [&](const Variable& m) { return drop_mask(ops::matmul(x, m)); };
         return attend(x, project(w.q), project(w.k), project(w.v),
                       AttentionMask::existing(x.mask()));
       }},
      {"self_attention_of_filled", false, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         const Variable qkv = ops::stacked_matmul(ops::fill_masked(x), {&w.q, &w.k, &w.v});
         return ops::self_attention(qkv, ops::AttentionPlan::existing(x.mask()));
       }},
      {"attention_by_products", false, MaskRule::kUses, [](const Variable& x, const Weights& w) {
         const Variable h = ops::fill_masked(x);
         const Tensor keys = x.mask().bits().reshape({x.dim(0), 1, x.dim(1)});
         const Variable scores = ops::matmul(ops::matmul(h, w.q), h, false, true);
         return ops::with_mask(ops::matmul(ops::masked_softmax(scores, keys), h), x.mask());
       }}};
  return pieces;
}

const std::vector<Piece>& sound_ends() {
  static const std::vector<Piece> pieces = {
      {"filled", false, MaskRule::kEnds,
       [](const Variable& x, const Weights&) { return ops::fill_masked(x); }},
      {"mean", false, MaskRule::kEnds,
       [](const Variable& x, const Weights& w) {
         return ops::linear(ops::masked_mean(x, 1), w.q, w.bias);
       }},
      {"largest", false, MaskRule::kEnds,
       [](const Variable& x, const Weights&) { return ops::masked_max(x, 1); }},
      {"flat", false, MaskRule::kEnds, [](const Variable& x, const Weights&) {
         return ops::reshape(ops::fill_masked(x), {x.dim(0), -1});
       }}};
  return pieces;
}

}  // namespace maskgrad::test
