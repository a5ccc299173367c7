#include <array>
#include <cmath>

#include <maskgrad/ops/attention.hpp>
#include <maskgrad/ops/attention/common.hpp>
#include <maskgrad/ops/attention/problem.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/ops/shape.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

// An argument that may be left out is NaN by default.
std::optional<double> optional_arg(const OpCall& call, const char* name) {
  const double value = call.arg<double>(name);
  return std::isnan(value) ? std::nullopt : std::optional(value);
}

std::vector<Variable> call_attention(const OpCall& call) {
  const Variable &q = call.input("q"), &k = call.input("k");
  const auto seed = static_cast<std::uint64_t>(call.arg<std::int64_t>("seed"));
  const AttentionOptions options = {.bias = call.has("bias") ? call.input("bias") : Variable(),
                                    .scale = optional_arg(call, "scale"),
                                    .softcap = optional_arg(call, "softcap"),
                                    .dropout = call.arg<double>("dropout"),
                                    .random = Random(seed, stream_of("attention"))};
  return {scaled_dot_product_attention(q, k, call.input("v"),
                                       mask_of_call(call, q.dim(-2), k.dim(-2)), options)};
}

std::vector<OpSample> attention_samples(Random& r) {
  const auto sample = [&](std::int64_t heads, std::int64_t key_heads, const Shape& mask) {
    return OpSample{{{"q", sample_uniform(r, {2, heads, 3, 2})},
                     {"k", sample_uniform(r, {2, key_heads, 4, 2})},
                     {"v", sample_uniform(r, {2, key_heads, 4, 3})},
                     {"mask", sample_bits(r, mask)}}};
  };
  std::vector<OpSample> samples = {sample(2, 2, {3, 4}), sample(4, 2, {2, 1, 3, 4}),
                                   sample(2, 1, {2, 1, 1, 4}), sample(1, 1, {1, 1, 3, 1})};
  samples[0].inputs["bias"] = sample_uniform(r, {2, 1, 4});
  samples[1].args = {{"softcap", 1.5}, {"scale", 0.7}};
  samples[2].args = {{"dropout", 0.3}};
  samples[3].inputs.erase("mask");
  // Query 1 sees nothing, and nobody sees key 2.
  samples.push_back(sample(2, 1, {3, 4}));
  bool* keep = samples.back().inputs["mask"].data<bool>();
  for (std::int64_t i = 0; i < 12; ++i) keep[i] = i / 4 != 1 && i % 4 != 2;
  return samples;
}

const OpDef& kAttention = register_op({
    .name = "scaled_dot_product_attention",
    .summary = "values averaged by softmax over the kept pairs of queries and keys",
    .inputs = {{.name = "q", .reach = Reach::kByCall},
               {.name = "k", .reach = Reach::kByCall},
               {.name = "v", .reach = Reach::kByCall},
               {.name = "bias", .reach = Reach::kByCall, .optional = true},
               optional(mask_input(Reach::kEverything))},
    .args = {{"scale", std::nan("")},
             {"softcap", std::nan("")},
             {"dropout", 0.0},
             {"seed", std::int64_t{0}}},
    .mask_rule = MaskRule::kUses,
    .call = call_attention,
    .samples = attention_samples,
});

// [B, S, D] as one head.
Tensor with_heads(const Tensor& x) {
  return x.rank() == 3 ? x.view(0, Shape{x.dim(0), 1, x.dim(1), x.dim(2)}) : x;
}

void check_ranks(const Variable& q, const Variable& k, const Variable& v) {
  const char* name = kAttention.name.c_str();
  check(q.rank() == 3 || q.rank() == 4, name, "q must be [B, H, S, D] or [B, S, D], got {}",
        q.shape());
  check(k.rank() == q.rank() && v.rank() == q.rank(), name,
        "k and v must have as many dimensions as q: {}, {}, {}", q.shape(), k.shape(), v.shape());
}

void check_inputs(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask,
                  const Shape& pairs) {
  const char* name = kAttention.name.c_str();
  check_pairs(kAttention, q.shape(), k.shape(), pairs, mask);
  check(q.dim(3) == k.dim(3) && q.dtype() == k.dtype() && is_floating(q.dtype()), name,
        "q is {} {}, k is {} {}: features and dtype must be the same", to_string(q.dtype()),
        q.shape(), to_string(k.dtype()), k.shape());
  check(v.shape().slice(0, 3) == k.shape().slice(0, 3) && v.dtype() == k.dtype(), name,
        "k is {} {}, v is {} {}: all but the features must be the same", to_string(k.dtype()),
        k.shape(), to_string(v.dtype()), v.shape());
}

void check_options(const AttentionOptions& options, DType dtype, const Shape& pairs) {
  const char* name = kAttention.name.c_str();
  check(!options.softcap || *options.softcap > 0, name, "softcap must be above 0, got {}",
        options.softcap.value_or(0));
  check(options.dropout >= 0 && options.dropout < 1, name,
        "dropout must be at least 0 and below 1, got {}", options.dropout);
  if (!options.bias.defined()) return;
  check(can_broadcast(options.bias.shape(), pairs) && options.bias.dtype() == dtype, name,
        "a bias of {} {} does not fit pairs of {} {}", to_string(options.bias.dtype()),
        options.bias.shape(), to_string(dtype), pairs);
}

// Whether rows that do not exist have no interval, `each` of them a row.
bool only_these(const bool* exists, std::int64_t rows, const KeyInterval* runs, std::int64_t each) {
  int wrong = 0;
  for (std::int64_t i = 0; i < each; ++i) {
    for (std::int64_t s = 0; s < rows; ++s) {
      wrong |= int{!runs[s * each + i].empty()} & int{!exists[s]};
    }
  }
  return !wrong;
}

void check_queries(const SequenceMask& queries, const Variable& q, const AttentionMask& mask) {
  if (!queries.defined()) return;
  const char* name = kAttention.name.c_str();
  check(q.rank() == 3 && q.shape().starts_with(queries.shape()), name,
        "queries that exist {} need q [B, S, D] of their sizes, got {}", queries.shape(),
        q.shape());
  const bool* exists = queries.bits().data<bool>();
  const std::int64_t batch = q.dim(0), length = q.dim(1);
  // All at once, without a branch each; the first that is wrong is looked for when one is.
  if (mask.form() == AttentionMask::Form::kIntervals && mask.shape()[0] == batch &&
      only_these(exists, batch * length, mask.intervals(0, 0, 0).data(),
                 mask.intervals_per_row())) {
    return;
  }
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t s = 0; s < length; ++s) {
      if (exists[b * length + s]) continue;
      mask.for_each_run(b, 0, s, [&](std::int64_t t, std::int64_t) {
        fail(name, "query {} of sample {} does not exist, but the mask lets it attend to key {}", s,
             b, t);
      });
    }
  }
}

AttentionProblem problem_of(const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionMask& mask, const AttentionOptions& options) {
  return {.batch = q.dim(0),
          .heads = q.dim(1),
          .key_heads = k.dim(1),
          .queries = q.dim(2),
          .keys = k.dim(2),
          .features = q.dim(3),
          .value_features = v.dim(3),
          .dtype = q.dtype(),
          .scale = attention_scale(options, q.dim(3)),
          .softcap = options.softcap,
          .dropout = options.dropout,
          .random = options.random,
          .mask = mask,
          .tiles = AttentionTiles(mask),
          .bias = options.bias.value()};
}

// A row of the output depends on the pairs that are kept of it; a feature of it on that feature of
// the values.
Tensor reached(std::size_t input, const Tensor& marked, const Shape& pairs, const Shape& output,
               const AttentionMask& mask) {
  if (input == 2) return sums_reached(1, marked, pairs, output, mask);
  const Tensor reached_pairs =
      input == 3 ? expand(marked, pairs) : pairs_reached(input, marked, pairs, mask);
  return sums_reached(0, reached_pairs, pairs, output, mask);
}

}  // namespace

// softmax(s) v with s = scale q k^T + bias over the kept pairs; for the gradients see
// attention/backward.cpp
Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v,
                                      const AttentionMask& mask, const AttentionOptions& options) {
  check_no_sequence_mask(kAttention, {&q, &k, &v, &options.bias});
  check_ranks(q, k, v);
  const Tensor queries = with_heads(q.value()), keys = with_heads(k.value()),
               values = with_heads(v.value());
  const Shape pairs = {queries.dim(0), queries.dim(1), queries.dim(2), keys.dim(2)};
  const AttentionMask kept = mask.defined() ? mask : AttentionMask::all(pairs[2], pairs[3]);
  check_inputs(queries, keys, values, kept, pairs);
  check_options(options, q.dtype(), pairs);
  check_queries(options.queries, q, kept);
  AttentionProblem problem = problem_of(queries, keys, values, kept, options);
  const AttentionForward forward = fused_attention(problem, queries, keys, values);
  const Shape sums = forward.output.shape(), output = q.shape().with_dim(-1, v.dim(-1));
  auto rule = [=, problem = std::move(problem), q_shape = q.shape(), k_shape = k.shape(),
               v_shape = v.shape()](const Tensor& g, Gradients& grads) {
    const bool bias = problem.bias.defined() && grads.needed(3);
    AttentionGradients d =
        fused_attention_gradients(problem, queries, keys, values, forward, with_heads(g), bias);
    if (grads.needed(0)) grads.set(0, d.q.reshape(q_shape));
    if (grads.needed(1)) grads.set(1, d.k.reshape(k_shape));
    if (grads.needed(2)) grads.set(2, d.v.reshape(v_shape));
    if (bias) grads.set(3, std::move(d.bias));
  };
  const std::array<const Variable*, 4> inputs = {&q, &k, &v, &options.bias};
  return record(kAttention, std::span(inputs.data(), options.bias.defined() ? 4u : 3u),
                forward.output.reshape(output), options.queries,
                with_reach(std::move(rule), [=](std::size_t input, const Tensor& marked) {
                  const Tensor of_heads = input == 3 ? marked : with_heads(marked);
                  return reached(input, of_heads, pairs, sums, kept).reshape(output);
                }));
}

AttentionPlan explain_attention(const AttentionMask& mask) {
  const MaskExplanation about = explain(mask, AttentionTiles::kQueries);
  const AttentionTiles tiles(mask);
  const bool one =
      mask.shape()[2] <= AttentionTiles::kQueries && mask.shape()[3] <= AttentionTiles::kKeys;
  const double computed =
      about.pairs ? static_cast<double>(tiles.pairs()) / static_cast<double>(about.pairs) : 0.0;
  return {about, one ? "one tile a head" : "tiles",
          fmt::format("computes {:.1f}% of all pairs, and keeps {:.1f}%; {}", 100 * computed,
                      100 * about.share(),
                      mask.form() == AttentionMask::Form::kBits
                          ? "bits are read for each tile that is neither full nor empty"
                          : "intervals are compared where a tile is neither full nor empty")};
}

std::string to_string(const AttentionPlan& plan) {
  return fmt::format("{}kernel: {}: {}\n", to_string(plan.mask), plan.kernel, plan.reason);
}

}  // namespace maskgrad::ops
