// What every call of attention in one pass does. Internal to attention.
#pragma once

#include <maskgrad/ops/cpu/attention/problem.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/saved.hpp>
#include <maskgrad/tensor/ref.hpp>

namespace maskgrad::ops {

/// A call that has been computed, and what its gradients need.
struct FusedCall final : RefCounted {
  /// Checks mask, options and which queries exist, and computes the output. q, k and v have heads
  /// and fit each other; `rows` is the shape of the queries as they were given. A mask that is
  /// undefined keeps every pair.
  FusedCall(const OpDef& op, Saved q, Saved k, Saved v, const Shape& rows,
            const AttentionMask& mask, const AttentionOptions& options);

  bool has_bias() const { return bias.defined(); }

  /// Writes the gradients of q, k and v to `into`, and makes that of the bias where it is wanted.
  void set_gradients(const Tensor& grad_output, bool of_bias, AttentionGradients& into) const;
  /// Carries marks between input 0 to 3, q, k, v or the bias, and the output, all with heads.
  Tensor reached(std::size_t input, const Tensor& marked, bool back) const;

  Saved q, k, v, bias;  // `bias` may be undefined
  AttentionProblem problem;
  AttentionForward forward;
  Saved output;  // of `forward`
};

}  // namespace maskgrad::ops
