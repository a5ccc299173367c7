#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/layer_norm.hpp>
#include <maskgrad/layers/rms_norm.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::gradients_agree;
using test::is_close;
using test::mask_of;
using test::same_bits;
using test::to_doubles;
using test::uniform;

TransformerOptions of_samples() {
  return {.features = LayerSample::kFeatures, .heads = 5, .hidden = 6, .layers = 2};
}
TransformerOptions modern() {
  TransformerOptions options = of_samples();
  options.key_heads = 1;
  options.norm = NormKind::kRms;
  options.activation = Activation::kSilu;
  options.gated = true;
  options.bias = false;
  options.dropout = 0.3;
  return options;
}
TransformerOptions post_norm() {
  TransformerOptions options = of_samples();
  options.norm_first = false;
  return options;
}

TransformerOptions recomputed() {
  TransformerOptions options = modern();
  options.recompute = true;
  return options;
}

template <class L>
bool add_sample(const char* name, TransformerOptions options) {
  return register_layer({name, [=] { return std::make_unique<L>(options); }});
}
const bool kRegistered = add_sample<EncoderBlock>("EncoderBlock", of_samples()) &&
                         add_sample<EncoderBlock>("EncoderBlockWithNormsBehind", post_norm()) &&
                         add_sample<DecoderBlock>("DecoderBlock", of_samples()) &&
                         add_sample<Encoder>("Encoder", modern()) &&
                         add_sample<Decoder>("Decoder", modern()) &&
                         add_sample<Encoder>("EncoderRecomputed", recomputed()) &&
                         add_sample<Decoder>("DecoderRecomputed", recomputed());

constexpr std::int64_t kFeatures = 8;
TransformerOptions small() {
  return {.features = kFeatures, .heads = 2, .hidden = 12, .layers = 2};
}

SequenceMask some_mask() { return mask_of({0, 1, 1, 1, 1, 0, 1, 0}, {2, 4}); }
SequenceMask memory_mask() { return mask_of({1, 1, 1, 0, 0, 1}, {2, 3}); }
Variable input(std::int64_t length, SequenceMask mask = {}) {
  Random random(static_cast<std::uint64_t>(length));
  return Variable(uniform(random, {2, length, kFeatures}), Variable::kConstant, std::move(mask));
}

// Gives `to` the parameters of `from` whose names begin with `prefix`.
void copy_parameters(const ParameterBuffer& from, const std::string& prefix, ParameterBuffer& to) {
  std::map<std::string, Tensor> values;
  for (const auto& [name, value] : from.named_values()) {
    if (name.starts_with(prefix)) values[name.substr(prefix.size())] = value;
  }
  to.load(values);
}

// One branch after another, of layers that have the block's parameters.
struct Pieces {
  Pieces(const ParameterBuffer& block, const TransformerOptions& options, AttentionKind kind)
      : attention(kFeatures, options.heads, {.kind = kind}),
        feed(kFeatures, options.hidden),
        first(kFeatures),
        second(kFeatures) {
    load(block, "attention.", attention);
    load(block, "feed_forward.", feed);
    load(block, "attention_norm.", first);
    load(block, "feed_forward_norm.", second);
  }
  void load(const ParameterBuffer& block, const std::string& prefix, Layer& layer) {
    buffers.push_back(std::make_unique<ParameterBuffer>(layer, DType::kFloat64, 9));
    copy_parameters(block, prefix, *buffers.back());
  }
  Variable with_norms_first(const Variable& x) {
    const Variable y = ops::add(x, attention(first(x)));
    return ops::add(y, feed(second(y)));
  }
  Variable with_norms_behind(const Variable& x) {
    const Variable y = first(ops::add(x, attention(x)));
    return second(ops::add(y, feed(y)));
  }

  MultiHeadAttention attention;
  FeedForward feed;
  LayerNorm first, second;
  std::vector<std::unique_ptr<ParameterBuffer>> buffers;
};

TEST(TransformerBlock, AddsItsBranchesToTheirInput) {
  for (const bool norm_first : {true, false}) {
    for (const SequenceMask& mask : {SequenceMask(), some_mask()}) {
      TransformerOptions options = small();
      options.norm_first = norm_first;
      EncoderBlock encoder(options);
      DecoderBlock decoder(options);
      const ParameterBuffer of_encoder(encoder, DType::kFloat64, 1),
          of_decoder(decoder, DType::kFloat64, 1);
      Pieces both(of_encoder, options, AttentionKind::kBidirectional),
          causal(of_decoder, options, AttentionKind::kCausal);
      const Variable x = input(4, mask);
      const auto expected = [&](Pieces& pieces) {
        return norm_first ? pieces.with_norms_first(x) : pieces.with_norms_behind(x);
      };
      EXPECT_TRUE(encoder(x).mask() == mask);
      EXPECT_TRUE(same_bits(ops::fill_masked(encoder(x)).value(),
                            ops::fill_masked(expected(both)).value()));
      EXPECT_TRUE(same_bits(ops::fill_masked(decoder(x)).value(),
                            ops::fill_masked(expected(causal)).value()));
    }
  }
}

TEST(Encoder, RunsItsBlocksAndALastNormWhereNormsComeFirst) {
  for (const bool norm_first : {true, false}) {
    TransformerOptions options = small();
    options.norm_first = norm_first;
    Encoder encoder(options);
    const ParameterBuffer parameters(encoder, DType::kFloat64, 1);
    Variable y = input(4, some_mask());
    const Tensor whole = ops::fill_masked(encoder(y)).value();
    for (const char* prefix : {"block0.", "block1."}) {
      EncoderBlock block(options);
      ParameterBuffer own(block, DType::kFloat64, 9);
      copy_parameters(parameters, prefix, own);
      y = block(y);
    }
    LayerNorm norm(kFeatures);
    ParameterBuffer own(norm, DType::kFloat64, 9);
    if (norm_first) {
      copy_parameters(parameters, "norm.", own);
      y = norm(y);
    }
    EXPECT_TRUE(same_bits(ops::fill_masked(y).value(), whole));
    EXPECT_EQ(parameters.named_values().contains("norm.weight"), norm_first);
  }
}

TEST(Decoder, SeesWhatItsMemoryKeepsAndNothingBehind) {
  Decoder decoder(small(), DecoderBlock::Memory::kAttends);
  ParameterBuffer parameters(decoder, DType::kFloat64, 1);
  const auto output = [&](const Tensor& x, const Tensor& memory) {
    Pass pass;
    return decoder.decode(Variable(x), Variable(memory, Variable::kConstant, memory_mask()), pass)
        .value()
        .clone();
  };
  Tensor x = input(4).value().clone(), memory = input(3).value().clone();
  const Tensor before = output(x, memory);
  memory.data<double>()[3 * kFeatures] = test::kNaN;  // a hole of the second sequence
  EXPECT_TRUE(same_bits(output(x, memory), before));
  x.data<double>()[3 * kFeatures] += 1;  // the last position of the first sequence
  EXPECT_TRUE(same_bits(output(x, memory).view(0, {3, kFeatures}), before.view(0, {3, kFeatures})));
  memory.data<double>()[0] += 1;
  EXPECT_FALSE(same_bits(output(x, memory).view(0, {kFeatures}), before.view(0, {kFeatures})));
}

TEST(Decoder, HasRightGradientsInAnEncoderDecoder) {
  TransformerOptions options = small();
  options.layers = 1;
  options.norm = NormKind::kRms;
  Encoder encoder(options);
  Decoder decoder(options, DecoderBlock::Memory::kAttends);
  ParameterBuffer of_encoder(encoder, DType::kFloat64, 1), of_decoder(decoder, DType::kFloat64, 2);
  std::vector<NamedLeaf> leaves = of_encoder.leaves();
  for (const NamedLeaf& leaf : of_decoder.leaves()) leaves.push_back(leaf);
  const auto loss = [&] {
    Pass pass = Pass::training(1, 1);
    const Variable memory = encoder(input(3, memory_mask()), pass);
    const Variable y = ops::fill_masked(decoder.decode(input(4, some_mask()), memory, pass));
    return ops::sum(ops::multiply(y, y));
  };
  EXPECT_TRUE(gradients_agree(loss, leaves));
}

TEST(TransformerBlock, ScalesTheLastMatrixOfEachBranchOnRequest) {
  TransformerOptions options = small();
  Encoder plain(options);
  options.scaled_residual = true;
  Encoder scaled(options);
  const ParameterBuffer of_plain(plain, DType::kFloat64, 1), of_scaled(scaled, DType::kFloat64, 1);
  for (const auto& [name, value] : of_plain.named_values()) {
    std::vector<double> expected = to_doubles(value);
    if (name.ends_with(".o") || name.ends_with(".w2")) {
      for (double& x : expected) x *= 0.5;  // 1 / sqrt(4 branches)
    }
    EXPECT_TRUE(is_close(of_scaled.named_values().at(name), expected)) << name;
  }
}

TEST(TransformerBlock, RefusesWhatItCannotDo) {
  EXPECT_EQ(error_of([] { EncoderBlock block({}); }),
            "[EncoderBlock] needs features and layers above 0, and hidden of at least 0; got 0, 1 "
            "and 0");
  EXPECT_EQ(error_of([] { Decoder decoder({.features = 8, .layers = 0}); }),
            "[Decoder] needs features and layers above 0, and hidden of at least 0; got 8, 0 and "
            "0");
  DecoderBlock alone(small()), reads(small(), DecoderBlock::Memory::kAttends);
  const ParameterBuffer of_alone(alone, DType::kFloat64, 1), of_reads(reads, DType::kFloat64, 1);
  Pass pass;
  EXPECT_EQ(error_of([&] { alone.decode(input(4), input(3), pass); }),
            "[DecoderBlock] has no attention to another sequence");
  EXPECT_EQ(error_of([&] { reads(input(4)); }),
            "[DecoderBlock] attends to another sequence, which decode() takes");
  EXPECT_FALSE(reads.row_work().has_value());
  Pass row = Pass().on_row(ops::packing_of(some_mask()));
  EXPECT_EQ(error_of([&] { reads.decode(input(4), input(3), row); }),
            "[DecoderBlock] does not say how it runs on a packed row; override row_work(), or "
            "unpack() first");
  EXPECT_TRUE(alone.row_work().has_value());
}

TEST(NormKind, HasANameForEachAndNoOther) {
  for (const NormKind kind : {NormKind::kLayer, NormKind::kRms}) {
    EXPECT_EQ(norm_kind_from_string(to_string(kind)), kind);
  }
  EXPECT_EQ(error_of([] { norm_kind_from_string("batch"); }),
            "[norm] 'batch' is not one of layer, rms");
}

}  // namespace
}  // namespace maskgrad
