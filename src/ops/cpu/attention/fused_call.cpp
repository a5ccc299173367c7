#include <maskgrad/ops/cpu/attention/fused_call.hpp>
#include <maskgrad/ops/cpu/attention/one_position.hpp>
#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/nn/attention_reach.hpp>
#include <maskgrad/ops/nn/key_blocks.hpp>

namespace maskgrad::ops {

namespace {

Shape pairs_of(const HeadsOfInputs& heads) {
  return {heads.q.batch, heads.q.heads, heads.q.rows, heads.k.rows};
}

bool are_blocks(const Shape& q, const Shape& k) { return q.rank() == 3 && k.rank() == 4; }

// The shape of the keys as rows.
Shape checked_keys(const char* name, const Tensor& q, const Tensor& k, const Tensor& v) {
  if (!are_blocks(q.shape(), k.shape())) return k.shape();
  const Shape rows = {k.dim(0), v.dim(1), k.dim(2)};
  check(k.shape() == shape_of_key_blocks(rows), name, "{} values need blocks of keys {}, got {}",
        v.dim(1), shape_of_key_blocks(rows), k.shape());
  return rows;
}

Shape output_of(const Shape& q, const HeadsOfInputs& heads) {
  return q.with_dim(-1, q.rank() == 4 ? heads.v.features : heads.q.heads * heads.v.features);
}

// Every pair for a plan without any. Where there is one head, what the pairs are for each head is
// meant for each sample.
AttentionPlan plan_of_pairs(const AttentionPlan& plan, const Shape& pairs, bool one_head) {
  if (!plan.defined()) return AttentionMask::all(pairs[2], pairs[3]);
  const Shape& given = plan.pairs().shape();
  const bool by_sample = one_head && given[0] == 1 && given[1] == pairs[0] && pairs[0] > 1;
  return by_sample ? AttentionPlan(plan.pairs().heads_as_batch()) : plan;
}

AttentionProblem checked_problem(const OpDef& op, const Tensor& q, const HeadsOfInputs& heads,
                                 const AttentionPlan& given, const AttentionOptions& options) {
  const bool one_device = !options.bias.defined() || options.bias.device() == q.device();
  check(one_device, op.name.c_str(), "got one input on cuda and another on cpu");
  const Shape pairs = pairs_of(heads);
  const bool one_head = q.rank() == 3 && heads.q.heads == 1;
  const AttentionPlan plan = plan_of_pairs(given, pairs, one_head);
  check_pairs(op, heads.q.shape(), heads.k.shape(), pairs, plan.pairs());
  check_options(op, options, q.dtype(), pairs);
  check_queries(op, given.queries(), q.shape());
  return AttentionProblem::of(heads.q, heads.k, heads.v, q.dtype(), output_of(q.shape(), heads),
                              plan, options);
}

}  // namespace

HeadsOfInputs HeadsOfInputs::checked(const OpDef& op, const Tensor& q, const Tensor& k,
                                     const Tensor& v, std::int64_t heads) {
  const char* name = op.name.c_str();
  const bool share_rows = q.rank() == 3;
  check(heads >= 1 && (share_rows || heads == 1), name,
        "heads must be at least 1, and 1 for inputs [B, H, S, D], got {} for {}", heads, q.shape());
  check(!share_rows || q.dim(2) % heads == 0, name, "{} heads do not divide the features of q {}",
        heads, q.shape());
  const Heads of_q = Heads::of(q.shape(), heads);
  const Shape keys = checked_keys(name, q, k, v);
  // Of keys and values that share rows too, as many heads as the features of a query say.
  const std::int64_t key_heads =
      share_rows && heads > 1 && of_q.features > 0 ? keys[2] / of_q.features : 1;
  const bool whole = key_heads > 0 &&
                     keys[keys.rank() - 1] % std::max<std::int64_t>(1, key_heads) == 0 &&
                     v.dim(-1) % std::max<std::int64_t>(1, key_heads) == 0;
  check(whole, name, "k {} and v {} are no whole heads of {} features", keys, v.shape(),
        of_q.features);
  const Heads of_k = Heads::of(keys, key_heads), of_v = Heads::of(v.shape(), key_heads);
  check(of_q.features == of_k.features && q.dtype() == k.dtype() && is_floating(q.dtype()), name,
        "q is {} {}, k is {} {}: features and dtype must be the same", to_string(q.dtype()),
        q.shape(), to_string(k.dtype()), keys);
  check(of_v.shape().slice(0, 3) == of_k.shape().slice(0, 3) && v.dtype() == k.dtype(), name,
        "k is {} {}, v is {} {}: all but the features must be the same", to_string(k.dtype()), keys,
        to_string(v.dtype()), v.shape());
  return {of_q, of_k, of_v};
}

FusedCall::FusedCall(const OpDef& op, Saved queries, Saved keys, Saved of_keys,
                     const HeadsOfInputs& heads_of_inputs, const AttentionPlan& plan,
                     const AttentionOptions& options)
    : q(std::move(queries)),
      k(std::move(keys)),
      v(std::move(of_keys)),
      bias(options.bias.defined() ? Saved(op, "bias", options.bias.value()) : Saved()),
      heads(heads_of_inputs),
      problem(checked_problem(op, *q, heads, plan, options)) {
  const Shape shape = output_of(q.shape(), heads);
  AttentionValues values = {*q, *k, *v, {}, {}, {}};
  // A kernel reads keys as rows.
  const bool on_cpu = q->device() == Device{};
  if (on_cpu && has_key_blocks() && is_one_position(problem)) {
    attend_from_one_position(problem, shape, values);
  } else {
    values.k = key_rows();
    fused_attention(problem, shape, values);
  }
  output = Saved(op, "output", values.output);
  top = std::move(values.top);
  inverse_sum = std::move(values.inverse_sum);
  if (AttentionWatch* const watch = AttentionWatch::innermost()) {
    watch->note(seen_in(*this, plan.queries()));
  }
}

bool FusedCall::has_key_blocks() const { return are_blocks(q.shape(), k.shape()); }

Tensor FusedCall::key_rows() const {
  return has_key_blocks() ? from_key_blocks(*k, problem.keys) : *k;
}

void FusedCall::set_gradients(const Tensor& grad_output, bool of_bias,
                              AttentionGradients& into) const {
  const Tensor read_bias = has_bias() ? *bias : Tensor();  // as the problem has it
  if (of_bias) {
    into.bias = Tensor::zeros(read_bias.shape(), read_bias.dtype(), read_bias.device());
  }
  const AttentionValues read = {*q, key_rows(), *v, *output, top, inverse_sum};
  if (has_key_blocks()) into.k = Tensor::empty(read.k.shape(), read.k.dtype(), read.k.device());
  fused_attention_gradients(problem, read, grad_output, into);
  if (has_key_blocks()) into.k = to_key_blocks(into.k);
}

Tensor FusedCall::reached(std::size_t input, const Tensor& marked, bool back) const {
  if (input != 1 || !has_key_blocks()) return reached_by_rows(input, marked, back);
  if (back) return to_key_blocks(reached_by_rows(input, marked, back));
  return reached_by_rows(input, from_key_blocks(marked, problem.keys), back);
}

Tensor FusedCall::reached_by_rows(std::size_t input, const Tensor& marked, bool back) const {
  const Shape keys =
      has_key_blocks() ? Shape{problem.batch, problem.keys, k.shape()[2]} : k.shape();
  const Shape given[] = {q.shape(), keys, v.shape(), has_bias() ? bias.shape() : Shape()};
  const Heads of_input[] = {heads.q, heads.k, heads.v};
  const Shape& output_shape = output.shape();
  const Heads of_output = Heads::of(output_shape, problem.heads);
  const bool is_bias = input == 3;
  const Way way = {is_bias ? given[3] : of_input[input].shape(), of_output.shape(), back};
  const bool as_given = !back && is_bias;
  const Tensor marks = as_given ? marked : split_heads(marked, back ? of_output : of_input[input]);
  const Tensor found = attention_reached(input, marks, way, pairs_of(heads), problem.mask);
  if (!back) return join_heads(found, output_shape);
  return is_bias ? found : join_heads(found, given[input]);
}

}  // namespace maskgrad::ops
