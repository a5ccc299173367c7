#include <cmath>

#include <maskgrad/layers/layer_norm.hpp>
#include <maskgrad/layers/rms_norm.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/recompute.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

std::unique_ptr<Layer> make_norm(const TransformerOptions& options) {
  if (options.norm == NormKind::kRms) return std::make_unique<RMSNorm>(options.features);
  return std::make_unique<LayerNorm>(options.features);
}

Initializer last_of_branch(const TransformerOptions& options, bool has_memory) {
  if (!options.scaled_residual) return glorot_uniform();
  const auto branches = static_cast<double>(options.layers * (has_memory ? 3 : 2));
  return scaled(glorot_uniform(), 1 / std::sqrt(branches));
}

void check_options(const std::string& kind, const TransformerOptions& options) {
  check(options.features > 0 && options.hidden >= 0 && options.layers > 0, kind.c_str(),
        "needs features and layers above 0, and hidden of at least 0; got {}, {} and {}",
        options.features, options.layers, options.hidden);
}

}  // namespace

std::string_view to_string(NormKind kind) {
  constexpr std::string_view kNames[] = {"layer", "rms"};
  return kNames[static_cast<std::size_t>(kind)];
}

NormKind norm_kind_from_string(std::string_view name) {
  for (const NormKind kind : {NormKind::kLayer, NormKind::kRms}) {
    if (to_string(kind) == name) return kind;
  }
  fail("norm", "'{}' is not one of layer, rms", shortened(name));
}

TransformerBlock::TransformerBlock(std::string kind, const TransformerOptions& options,
                                   AttentionKind attention, bool has_memory)
    : Layer(std::move(kind), OfLayers{}), norm_first_(options.norm_first) {
  check_options(this->kind(), options);
  const std::int64_t d = options.features, hidden = options.hidden ? options.hidden : 4 * d;
  const Initializer last = last_of_branch(options, has_memory);
  MultiHeadAttentionOptions own = {.key_heads = options.key_heads,
                                   .kind = attention,
                                   .rotary = options.rotary,
                                   .bias = options.bias,
                                   .output = last};
  of_attention_ = branch("attention", options);
  attention_ = &submodule("attention", std::make_unique<MultiHeadAttention>(d, options.heads, own));
  if (has_memory) {
    own.kind = AttentionKind::kBidirectional;
    own.rotary.reset();
    of_memory_ = branch("memory", options);
    memory_attention_ =
        &submodule("memory", std::make_unique<MultiHeadAttention>(d, options.heads, own));
  }
  of_feed_forward_ = branch("feed_forward", options);
  feed_forward_ =
      &submodule("feed_forward",
                 std::make_unique<FeedForward>(d, hidden,
                                               FeedForwardOptions{.activation = options.activation,
                                                                  .gated = options.gated,
                                                                  .bias = options.bias,
                                                                  .output = last}));
}

TransformerBlock::Branch TransformerBlock::branch(const std::string& name,
                                                  const TransformerOptions& options) {
  Layer& norm = submodule(name + "_norm", make_norm(options));
  return {&norm, &submodule(name + "_dropout", std::make_unique<Dropout>(options.dropout))};
}

template <class F>
Variable TransformerBlock::add_branch(const Branch& branch, const Variable& x, Pass& pass,
                                      F f) const {
  Layer &norm = *branch.norm, &dropout = *branch.dropout;
  if (norm_first_) return ops::add(x, dropout(f(norm(x, pass)), pass));
  return norm(ops::add(x, dropout(f(x), pass)), pass);
}

Variable TransformerBlock::run(const Variable& x, const Variable* memory, Pass& pass) {
  check((memory != nullptr) == (memory_attention_ != nullptr), kind().c_str(), "{}",
        memory ? "has no attention to another sequence"
               : "attends to another sequence, which decode() takes");
  const auto own = [&](const Variable& h) { return (*attention_)(h, pass); };
  const auto other = [&](const Variable& h) { return memory_attention_->attend(h, *memory, pass); };
  const auto feed = [&](const Variable& h) { return (*feed_forward_)(h, pass); };
  Variable y = add_branch(of_attention_, x, pass, own);
  if (memory) y = add_branch(of_memory_, y, pass, other);
  return add_branch(of_feed_forward_, y, pass, feed);
}

Variable TransformerBlock::forward(const Variable& x, Pass& pass) { return run(x, nullptr, pass); }

std::optional<ops::Work> TransformerBlock::row_work() const {
  if (memory_attention_) return std::nullopt;
  return *attention_->row_work() + *feed_forward_->row_work() + *of_attention_.norm->row_work() +
         *of_feed_forward_.norm->row_work();
}

Variable DecoderBlock::decode(const Variable& x, const Variable& memory, Pass& pass) {
  check_given(x.defined() && memory.defined(), "DecoderBlock", "an input");
  return checked(x, pass, [&] { return run(x, &memory, pass); });
}

TransformerStack::TransformerStack(std::string kind, const TransformerOptions& options)
    : Layer(std::move(kind), OfLayers{}), recompute_(options.recompute) {
  check_options(this->kind(), options);
}

void TransformerStack::add_last_norm(const TransformerOptions& options) {
  if (options.norm_first) norm_ = &submodule("norm", make_norm(options));
}

Variable TransformerStack::last_norm(const Variable& x, Pass& pass) const {
  return norm_ ? (*norm_)(x, pass) : x;
}

// The pass may end before the backward pass begins, so a copy of it runs the block.
template <class Run, class... More>
Variable TransformerStack::run_block(Run run, Pass& pass, const Variable& x,
                                     const More&... more) const {
  if (!recompute_) return run(x, more..., pass);
  return recompute([run, pass](const auto&... inputs) mutable { return run(inputs..., pass); }, x,
                   more...);
}

Variable TransformerStack::forward(const Variable& x, Pass& pass) {
  Variable y = x;
  for (TransformerBlock* block : blocks_) {
    y = run_block([block](const Variable& h, Pass& in) { return (*block)(h, in); }, pass, y);
  }
  return last_norm(y, pass);
}

std::optional<ops::Work> TransformerStack::row_work() const {
  std::optional<ops::Work> sum = norm_ ? norm_->row_work() : ops::Work{};
  for (const TransformerBlock* block : blocks_) {
    const auto work = block->row_work();
    if (!sum || !work) return std::nullopt;
    sum = *sum + *work;
  }
  return sum;
}

Encoder::Encoder(const TransformerOptions& options) : TransformerStack("Encoder", options) {
  for (std::int64_t i = 0; i < options.layers; ++i) add(std::make_unique<EncoderBlock>(options));
  add_last_norm(options);
}

Decoder::Decoder(const TransformerOptions& options, DecoderBlock::Memory memory)
    : TransformerStack("Decoder", options) {
  for (std::int64_t i = 0; i < options.layers; ++i) {
    decoder_blocks_.push_back(add(std::make_unique<DecoderBlock>(options, memory)));
  }
  add_last_norm(options);
}

Variable Decoder::decode(const Variable& x, const Variable& memory, Pass& pass) {
  check_given(x.defined() && memory.defined(), "Decoder", "an input");
  return checked(x, pass, [&] {
    Variable y = x;
    for (DecoderBlock* block : decoder_blocks_) {
      const auto run = [block](const Variable& h, const Variable& m, Pass& in) {
        return block->decode(h, m, in);
      };
      y = run_block(run, pass, y, memory);
    }
    return last_norm(y, pass);
  });
}

}  // namespace maskgrad
