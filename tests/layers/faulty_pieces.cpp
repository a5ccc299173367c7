// Pieces of models with the faults that people make.
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/norm.hpp>
#include <maskgrad/ops/nn/self_attention.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/segments.hpp>

#include "layers/random_pieces.hpp"

namespace maskgrad::test {
namespace {

// [B, 1, S, S] with what stands in padding in the columns of padding.
Variable scores_of_dropped(const Variable& x) {
  const Variable scores = ops::matmul(ops::fill_masked(x), drop_mask(x), false, true);
  return ops::reshape(scores, {x.dim(0), 1, x.dim(1), x.dim(1)});
}

}  // namespace

const std::vector<Piece>& faulty_pieces() {
  static const std::vector<Piece> pieces = {
      {"attention_dropped_first", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         const Variable h = drop_mask(x);
         return attend(x, ops::matmul(h, w.q), ops::matmul(h, w.k), ops::matmul(h, w.v),
                       AttentionMask::existing(x.mask()));
       }},
      {"self_attention_dropped_first", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         const Variable qkv = ops::stacked_matmul(drop_mask(x), {&w.q, &w.k, &w.v});
         return ops::self_attention(qkv, ops::AttentionPlan::existing(x.mask()));
       }},
      {"attention_with_queries_of_padding", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         const auto project = [&](const Variable& m) { return drop_mask(ops::matmul(x, m)); };
         return attend(x, project(w.q), project(w.k), project(w.v),
                       AttentionMask::padding(x.mask()));
       }},
      {"attention_under_the_next_mask", true, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         const Variable h = drop_mask(x);
         return attend(x, h, h, h, AttentionMask::padding(shifted(x.mask())));
       }},
      {"attention_with_zero_weights", true, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         const Variable h = ops::fill_masked(x);
         const Tensor keys = x.mask().bits().reshape({x.dim(0), 1, x.dim(1)});
         const Variable weights = ops::masked_softmax(ops::matmul(h, h, false, true), keys);
         return ops::with_mask(ops::matmul(weights, drop_mask(x)), x.mask());
       }},
      {"scores_of_dropped_keys", true, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         const Variable h = ops::fill_masked(x);
         const Tensor keys = x.mask().bits().reshape({x.dim(0), 1, x.dim(1)});
         const Variable scores = ops::matmul(h, drop_mask(x), false, true);
         return ops::with_mask(ops::matmul(ops::masked_softmax(scores, keys), h), x.mask());
       }},
      {"attention_with_bias_of_dropped", true, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         const Variable h = ops::fill_masked(x);
         return ops::with_mask(
             ops::scaled_dot_product_attention(h, h, h, AttentionMask::padding(x.mask()),
                                               {.bias = scores_of_dropped(x)}),
             x.mask());
       }},
      {"attention_by_pairs_of_padding", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return attend_by_pairs(x, w, AttentionMask::padding(x.mask()));
       }},
      {"turned_around_under_its_mask", true, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         return ops::with_mask(ops::reverse_packed_segs(drop_mask(x), lengths_of(x), true),
                               x.mask());
       }},
      {"divided_by_row_everywhere", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return ops::with_mask(ops::divide(drop_mask(x), ops::exp(w.row)), x.mask());
       }},
      {"largest_of_all", true, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         const Variable largest = ops::max(drop_mask(x), 1, true);
         return ops::with_mask(ops::subtract(drop_mask(x), largest), x.mask());
       }},
      {"linear_of_dropped", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return ops::with_mask(ops::linear(drop_mask(x), w.q, w.bias), x.mask());
       }},
      {"layer_norm_of_dropped", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return ops::with_mask(ops::layer_norm(drop_mask(x), w.row, w.bias), x.mask());
       }},
      {"row_times_dropped", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return ops::with_mask(ops::multiply(drop_mask(x), w.row), x.mask());
       }},
      {"gelu_everywhere_plus_row", true, MaskRule::kUses,
       [](const Variable& x, const Weights& w) {
         return ops::with_mask(ops::gelu(ops::add(drop_mask(x), w.row)), x.mask());
       }},
      {"mean_of_all", true, MaskRule::kUses,
       [](const Variable& x, const Weights&) {
         const Variable mean = ops::mean(drop_mask(x), {1}, true);
         return ops::with_mask(ops::add(drop_mask(x), mean), x.mask());
       }},
      {"mask_one_later", true, MaskRule::kChanges,
       [](const Variable& x, const Weights&) {
         return ops::with_mask(drop_mask(x), shifted(x.mask()));
       }},
      {"other_mask", true, MaskRule::kChanges, [](const Variable& x, const Weights&) {
         return ops::with_mask(ops::scale(drop_mask(x), 2), ~x.mask());
       }}};
  return pieces;
}

const std::vector<Piece>& faulty_ends() {
  static const std::vector<Piece> pieces = {
      {"dropped", true, MaskRule::kEnds,
       [](const Variable& x, const Weights&) { return drop_mask(x); }},
      {"mean_of_dropped", true, MaskRule::kEnds,
       [](const Variable& x, const Weights&) { return ops::mean(drop_mask(x), {1}); }},
      {"times_bits", true, MaskRule::kEnds,
       [](const Variable& x, const Weights&) { return ops::multiply(drop_mask(x), bits_of(x)); }}};
  return pieces;
}

}  // namespace maskgrad::test
