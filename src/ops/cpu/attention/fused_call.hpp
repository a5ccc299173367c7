// What every call of attention in one pass does. Internal to attention.
#pragma once

#include <maskgrad/ops/cpu/attention/problem.hpp>
#include <maskgrad/ops/nn/attention_watch.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/saved.hpp>
#include <maskgrad/tensor/ref.hpp>

namespace maskgrad::ops {

/// The heads of queries, keys and values that fit each other.
struct HeadsOfInputs {
  Heads q, k, v;

  /// Throws Error "[name] ..." for shapes and dtypes that do not fit, with the `heads` of
  /// AttentionOptions.
  static HeadsOfInputs checked(const OpDef& op, const Tensor& q, const Tensor& k, const Tensor& v,
                               std::int64_t heads);
};

/// A call that has been computed, and what its gradients need.
struct FusedCall final : RefCounted {
  /// Checks pairs, options and which queries exist, and computes the output. A plan without pairs
  /// keeps every pair.
  FusedCall(const OpDef& op, Saved q, Saved k, Saved v, const HeadsOfInputs& heads,
            const AttentionPlan& plan, const AttentionOptions& options);

  bool has_bias() const { return bias.defined(); }
  /// Whether k stands in blocks (key_blocks.hpp).
  bool has_key_blocks() const;
  /// k as rows [B, T, F].
  Tensor key_rows() const;

  /// Writes the gradients of q, k and v to `into`, and makes that of the bias where it is wanted.
  void set_gradients(const Tensor& grad_output, bool of_bias, AttentionGradients& into) const;
  /// Carries marks between input 0 to 3, q, k, v or the bias, and the output, in their own shapes.
  Tensor reached(std::size_t input, const Tensor& marked, bool back) const;

  Saved q, k, v, bias;  // `bias` may be undefined
  HeadsOfInputs heads;
  AttentionProblem problem;
  Saved output;
  Tensor top, inverse_sum;  // as in AttentionValues

 private:
  Tensor reached_by_rows(std::size_t input, const Tensor& marked, bool back) const;
};

/// What a watch notes of a call whose plan has these queries.
SeenAttention seen_in(const FusedCall& call, const SequenceMask& queries);

}  // namespace maskgrad::ops
