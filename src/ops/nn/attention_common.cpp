#include <cmath>

#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/op_inputs.hpp>

namespace maskgrad::ops {

AttentionMask mask_of_call(const OpDef& op, const OpCall& call, std::int64_t queries,
                           std::int64_t keys) {
  if (!call.has("mask")) return {};
  check_defined(op, "mask", call.input("mask").value());
  return AttentionMask::bits(call.input("mask").value(), queries, keys);
}

AttentionPlan plan_of_call(const OpDef& op, const OpCall& call, std::int64_t queries,
                           std::int64_t keys) {
  const AttentionMask mask = mask_of_call(op, call, queries, keys);
  if (!call.has("queries")) return mask;
  return AttentionPlan::existing(SequenceMask(call.input("queries").value()), mask);
}

PoolVector<Given> given_of(const AttentionPlan& plan, const AttentionOptions& options,
                           const Random::State& state) {
  const double none = std::nan("");
  // As plan_of_call() reads them: whoever runs the call again may give other positions.
  return {{"mask", plan.given_pairs()},
          {"queries", plan.queries()},
          {"scale", options.scale.value_or(none)},
          {"softcap", options.softcap.value_or(none)},
          {"dropout", options.dropout},
          {"seed", 0},
          {"state",
           options.random ? std::span<const std::int64_t>(state) : std::span<const std::int64_t>()},
          {"heads", options.heads}};
}

Random::State state_of(const AttentionOptions& options) {
  return options.random ? options.random->state() : Random::State{};
}

void check_no_sequence_mask(const OpDef& op, std::initializer_list<const Variable*> inputs) {
  for (const Variable* input : inputs) {
    check(!input->mask().defined(), op.name.c_str(),
          "an input of {} carries a mask; give it as AttentionPlan::existing, and drop_mask() it",
          input->shape());
  }
}

void check_pairs(const OpDef& op, const Shape& rows, const Shape& keys, const Shape& pairs,
                 const AttentionMask& mask) {
  const char* name = op.name.c_str();
  check(rows[0] == keys[0], name, "batches differ: {} and {}", rows, keys);
  check(keys[1] > 0 && rows[1] % keys[1] == 0, name,
        "heads of keys must divide heads of queries: {} and {}", rows, keys);
  check(mask.defined(), name, "needs a mask; AttentionMask::all() keeps every pair");
  check(mask.shape()[2] == pairs[2] && mask.shape()[3] == pairs[3], name,
        "a mask of {} does not fit pairs of {}", mask.shape(), pairs);
  check(can_broadcast(mask.shape(), pairs), name,
        "a mask of {} does not fit pairs of {}; bits [n, S, T] mean n heads, and n samples after "
        "heads_as_batch()",
        mask.shape(), pairs);
}

void check_heads(const OpDef& op, const char* what, const Variable& x) {
  check(x.rank() == 4, op.name.c_str(), "{} must be [B, H, S, D], got {}", what, x.shape());
}

void check_options(const OpDef& op, const AttentionOptions& options, DType dtype,
                   const Shape& pairs) {
  const char* name = op.name.c_str();
  const double softcap = options.softcap.value_or(1);
  check(softcap > 0, name, "softcap must be above 0, got {}", softcap);
  Scalar(softcap).check_fits(name, "softcap", dtype);
  const bool vanishes = dtype == DType::kFloat32 && static_cast<float>(softcap) == 0;
  check(!std::isinf(softcap) && !vanishes, name, "softcap {} is no divisor in {}", softcap,
        to_string(dtype));
  if (options.scale) Scalar(*options.scale).check_fits(name, "scale", dtype);
  check(options.dropout >= 0 && options.dropout < 1, name,
        "dropout must be at least 0 and below 1, got {}", options.dropout);
  if (options.dropout > 0) numbers_of_dropout(name, options);
  if (!options.bias.defined()) return;
  check(can_broadcast(options.bias.shape(), pairs) && options.bias.dtype() == dtype, name,
        "a bias of {} {} does not fit pairs of {} {}", to_string(options.bias.dtype()),
        options.bias.shape(), to_string(dtype), pairs);
}

Random numbers_of_dropout(const char* name, const AttentionOptions& options) {
  check(
      options.random.has_value(), name,
      "a dropout of {} has no random numbers to draw from; give options.random, by layer and step",
      options.dropout);
  return *options.random;
}

void check_queries(const OpDef& op, const SequenceMask& queries, const Shape& input) {
  check(!queries.defined() || (input.rank() == 3 && input.starts_with(queries.shape())),
        op.name.c_str(), "queries that exist {} need an input [B, S, D] of their sizes, got {}",
        queries.defined() ? queries.shape() : Shape(), input);
}

InputSpec pairs_input() { return optional(mask_input(Reach::kEverything)); }
InputSpec queries_input() { return optional(mask_input(Reach::kEverything, "queries")); }

std::vector<ArgSpec> attention_args() {
  return {{"scale", std::nan("")},
          {"softcap", std::nan("")},
          {"dropout", 0.0},
          {"seed", std::int64_t{0}},
          {"state", std::vector<std::int64_t>{}},
          {"heads", std::int64_t{1}}};
}

AttentionOptions options_of_call(const OpCall& call) {
  const auto number = [&](const char* name) {
    const double value = call.arg<double>(name);
    return std::isnan(value) ? std::nullopt : std::optional(value);
  };
  return {.bias = call.has("bias") ? call.input("bias") : Variable(),
          .scale = number("scale"),
          .softcap = number("softcap"),
          .dropout = call.arg<double>("dropout"),
          .random = random_of_call(call, "attention"),
          .heads = call.arg<std::int64_t>("heads")};
}

double attention_scale(const AttentionOptions& options, std::int64_t features) {
  return options.scale.value_or(
      1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, features))));
}

}  // namespace maskgrad::ops
