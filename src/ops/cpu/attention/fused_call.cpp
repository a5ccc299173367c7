#include <maskgrad/ops/cpu/attention/fused_call.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/nn/attention_reach.hpp>

namespace maskgrad::ops {

namespace {

// The mask of the pairs, every pair without one. Where there are no heads, what the mask has for
// each head is meant for each sample.
AttentionMask mask_of_pairs(const AttentionMask& mask, const Shape& pairs, bool has_heads) {
  if (!mask.defined()) return AttentionMask::all(pairs[2], pairs[3]);
  const bool by_sample = !has_heads && mask.shape()[0] == 1 && mask.shape()[1] == pairs[0];
  return by_sample ? mask.heads_as_batch() : mask;
}

AttentionProblem checked_problem(const OpDef& op, const Tensor& q, const Tensor& k, const Tensor& v,
                                 const Shape& rows, const AttentionMask& mask,
                                 const AttentionOptions& options) {
  const Shape pairs = {q.dim(0), q.dim(1), q.dim(2), k.dim(2)};
  const AttentionMask kept = mask_of_pairs(mask, pairs, rows.rank() == 4);
  check_pairs(op, q.shape(), k.shape(), pairs, kept);
  check_options(op, options, q.dtype(), pairs);
  check_queries(op, options.queries, rows, kept);
  return AttentionProblem::of(q, k, v, kept, options);
}

}  // namespace

FusedCall::FusedCall(const OpDef& op, Saved queries, Saved keys, Saved values, const Shape& rows,
                     const AttentionMask& mask, const AttentionOptions& options)
    : q(std::move(queries)),
      k(std::move(keys)),
      v(std::move(values)),
      bias(options.bias.defined() ? Saved(op, "bias", options.bias.value()) : Saved()),
      problem(checked_problem(op, *q, *k, *v, rows, mask, options)),
      forward(fused_attention(problem, *q, *k, *v)),
      output(op, "output", forward.output) {}

void FusedCall::set_gradients(const Tensor& grad_output, bool of_bias,
                              AttentionGradients& into) const {
  const Tensor read_bias = has_bias() ? *bias : Tensor();  // as the problem has it
  if (of_bias) {
    into.bias = Tensor::zeros(read_bias.shape(), read_bias.dtype(), read_bias.device());
  }
  fused_attention_gradients(problem, *q, *k, *v, {*output, forward.top, forward.scale},
                            with_heads(grad_output), into);
}

Tensor FusedCall::reached(std::size_t input, const Tensor& marked, bool back) const {
  const Shape pairs = {problem.batch, problem.heads, problem.queries, problem.keys};
  const Saved* const inputs[] = {&q, &k, &v, &bias};
  const Way way = {inputs[input]->shape(), forward.output.shape(), back};
  return attention_reached(input, marked, way, pairs, problem.mask);
}

}  // namespace maskgrad::ops
