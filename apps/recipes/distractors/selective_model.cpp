#include "recipes/distractors/selective_model.hpp"

#include <cmath>

#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>

#include "recipes/existing.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kReading = Distractors::kReading, kSteps = Distractors::kSteps,
                       kAnswer = Distractors::kAnswer;
constexpr auto kClasses = static_cast<std::int64_t>(kArithmeticVocabulary.size());
constexpr std::int64_t kHidden = 160;
constexpr double kRotaryBase = 100;  // for sequences of some tens of tokens

// The first token of each class stands for the class.
std::int64_t class_of(std::int64_t token) {
  if (token >= kClasses) return token;
  const char c = kArithmeticVocabulary[static_cast<std::size_t>(token)];
  const char first = c == 'y' ? 'x' : c == '-' || c == '*' ? '+' : c >= '0' && c <= '9' ? '0' : c;
  return static_cast<std::int64_t>(kArithmeticVocabulary.find(first));
}

Variable classes_of(const Variable& tokens) {
  Tensor classes = Tensor::empty(tokens.shape(), DType::kInt64);
  const std::int64_t* const token = tokens.value().data<std::int64_t>();
  for (std::int64_t i = 0; i < classes.numel(); ++i) {
    classes.data<std::int64_t>()[i] = class_of(token[i]);
  }
  return Variable(classes, Variable::kConstant, tokens.mask());
}

// What two layers make of probabilities [B, N, V]: logits [B, to, V].
Variable table(const Variable& known, std::int64_t to, Dense& hidden, Dense& output, Pass& pass) {
  const std::int64_t batch = known.dim(0);
  const Variable row = ops::reshape(known, {batch, known.dim(1) * kClasses});
  return ops::reshape(output(hidden(row, pass), pass), {batch, to, kClasses});
}

}  // namespace

Predictor::Predictor(const SelectiveSizes& sizes)
    : embed_(submodule("embed", std::make_unique<Embed>(Distractors::kVocabulary, sizes.features))),
      positions_(
          submodule("positions", std::make_unique<LearnedPositions>(sizes.length, sizes.features))),
      norm_(submodule("norm", std::make_unique<LayerNorm>(sizes.features))),
      reading_(submodule("reading", std::make_unique<Dense>(sizes.features, kClasses))),
      steps_hidden_(submodule("steps_hidden",
                              std::make_unique<Dense>(kReading * kClasses, kHidden, ops::gelu))),
      steps_(submodule("steps", std::make_unique<Dense>(kHidden, kSteps * kClasses))),
      answer_hidden_(submodule("answer_hidden",
                               std::make_unique<Dense>(kSteps * kClasses, kHidden, ops::gelu))),
      answer_(submodule("answer", std::make_unique<Dense>(kHidden, kAnswer * kClasses))) {
  const std::int64_t d = sizes.features;
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    const std::string name = fmt::format("block{}_", i);
    blocks_.push_back(
        {&submodule(name + "attention_norm", std::make_unique<LayerNorm>(d)),
         &submodule(name + "attention", std::make_unique<MultiHeadAttention>(d, sizes.heads)),
         &submodule(name + "feed_forward_norm", std::make_unique<LayerNorm>(d)),
         &submodule(name + "feed_forward", std::make_unique<FeedForward>(d, 4 * d))});
  }
}

Variable Predictor::through(const Block& block, const Variable& x, const Variable& keep,
                            Pass& pass) const {
  const Variable h = (*block.attention_norm)(x, pass);
  const Variable attended =
      keep.defined() ? block.attention->attend_kept(h, keep, pass) : (*block.attention)(h, pass);
  const Variable y = ops::add(x, attended);
  return ops::add(y, (*block.feed_forward)((*block.feed_forward_norm)(y, pass), pass));
}

Variable Predictor::encode(const Variable& x, const Variable& keep, Pass& pass) const {
  Variable y = x;
  for (const Block& block : blocks_) y = through(block, y, keep, pass);
  return norm_(y, pass);
}

// What the mask leaves out is packed away.
Variable Predictor::encode_on_row(const Variable& x, const Variable& keep, Pass& pass) const {
  const ops::Packing packing = ops::packing_of(x.mask());
  Pass row = pass.on_row(packing);
  const Variable packed_keep = keep.defined() ? ops::pack(keep, packing) : keep;
  return ops::unpack(encode(ops::pack(x, packing), packed_keep, row), packing);
}

// The places of tokens are counted before any is left out.
Predictor::Answer Predictor::operator()(const Variable& tokens, const Variable& keep, Pass& pass) {
  const SequenceMask exists = existing(tokens.value());
  const Variable all(tokens.value(), Variable::kConstant, exists);
  const Variable x = ops::with_mask(positions_(embed_(all, pass), pass), tokens.mask());
  const Variable y = pass.may_pack() ? encode_on_row(x, keep, pass) : encode(x, keep, pass);
  const Variable asked = ops::fill_masked(ops::slice(y, 1, 0, kReading));
  const Variable reading = reading_(asked, pass);
  const Variable steps = steps_of(ops::softmax(reading), pass);
  return {reading, steps, answer_of(ops::softmax(steps), pass)};
}

Variable Predictor::steps_of(const Variable& reading, Pass& pass) const {
  return table(reading, kSteps, steps_hidden_, steps_, pass);
}

Variable Predictor::answer_of(const Variable& steps, Pass& pass) const {
  return table(steps, kAnswer, answer_hidden_, answer_, pass);
}

Variable certain(const Tensor& ids, DType dtype, Device device) {
  Tensor shares = Tensor::zeros({ids.dim(0), ids.dim(1), kClasses}, DType::kFloat64);
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    shares.data<double>()[i * kClasses + ids.data<std::int64_t>()[i]] = 1;
  }
  return Variable(shares.to(dtype).to(device));
}

Selector::Selector(const SelectiveSizes& sizes, Scorer scorer, const MaskNetworkOptions& options)
    : scorer_(scorer),
      embed_(submodule("embed", std::make_unique<Embed>(Distractors::kVocabulary, sizes.features))),
      encoder_(submodule("encoder", std::make_unique<Encoder>(TransformerOptions{
                                        .features = sizes.features,
                                        .heads = sizes.heads,
                                        .layers = sizes.layers,
                                        .rotary = ops::RotaryOptions{.base = kRotaryBase}}))),
      network_(submodule("network", std::make_unique<MaskNetwork>(sizes.features, options))) {}

Variable Selector::operator()(const Variable& tokens, Pass& pass) {
  const SequenceMask exists = existing(tokens.value());
  const Variable all(tokens.value(), Variable::kConstant, exists);
  const Variable seen = scorer_ == Scorer::kClass ? classes_of(all) : all;
  const Variable x = embed_(seen, pass);
  if (!pass.may_pack()) return network_(encoder_(x, pass), pass);
  const ops::Packing packing = ops::packing_of(exists);
  Pass row = pass.on_row(packing);
  return ops::unpack(network_(encoder_(ops::pack(x, packing), row), row), packing);
}

Tensor asking_tokens(const Tensor& tokens) {
  Tensor asking = Tensor::empty(tokens.shape(), DType::kBool);
  const std::int64_t* const token = tokens.data<std::int64_t>();
  for (std::int64_t i = 0; i < tokens.numel(); ++i) {
    asking.data<bool>()[i] = token[i] == Distractors::kAsking;
  }
  return asking;
}

SequenceMask with_asking(const SequenceMask& mask, const Tensor& tokens) {
  return mask | SequenceMask(asking_tokens(tokens));
}

}  // namespace maskgrad::apps
