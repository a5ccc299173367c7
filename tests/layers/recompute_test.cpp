// Blocks that run again in the backward pass.
#include <functional>
#include <map>
#include <memory>

#include <gmock/gmock.h>

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "layers/support.hpp"
#include "support/allocations.hpp"
#include "support/errors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kFloatingDTypes;
using test::mask_of;
using test::same_bits;
using test::to_doubles;

constexpr std::int64_t kVocabulary = 11;

TransformerOptions some_options() {
  return {.features = 16,
          .heads = 4,
          .key_heads = 2,
          .hidden = 24,
          .layers = 3,
          .rotary = ops::RotaryOptions(),
          .dropout = 0.2};
}

// What a step gives: the loss, the gradients of all parameters, and that of the input.
struct Step {
  Tensor loss, gradients, input_gradient;
};

// The table of tokens is used in front of the blocks and behind them, so its gradient is a sum over
// nodes on both sides.
struct LanguageModelParts : Module {
  explicit LanguageModelParts(const TransformerOptions& options)
      : embed(submodule("embed", std::make_unique<Embed>(kVocabulary, options.features))),
        decoder(submodule("decoder", std::make_unique<Decoder>(options))) {}
  Embed& embed;
  Decoder& decoder;
};

Tensor some_tokens(const Shape& shape) {
  Random random(4);
  Tensor tokens = Tensor::empty(shape, DType::kInt64);
  for (std::int64_t i = 0; i < tokens.numel(); ++i) {
    tokens.data<std::int64_t>()[i] = random.integer(0, kVocabulary - 1);
  }
  return tokens;
}

std::vector<ParameterGroup> frozen(std::string_view prefix) {
  const auto is_frozen = [prefix](std::string_view name, const Shape&) {
    return name.starts_with(prefix);
  };
  return {{.name = "frozen", .owns = is_frozen, .frozen = true}, {.name = "rest", .owns = is_any}};
}

Step step_of_language_model(TransformerOptions options, bool recompute, DType dtype,
                            std::vector<ParameterGroup> groups = {}) {
  options.recompute = recompute;
  LanguageModelParts model(options);
  ParameterBuffer parameters(model, dtype, 1, {}, std::move(groups));
  const Variable tokens(some_tokens({2, 70}), Variable::kConstant, [] {
    Tensor exists = Tensor::full({2, 70}, true, DType::kBool);
    for (std::int64_t i = 60; i < 70; ++i) exists.data<bool>()[i] = false;
    return SequenceMask(exists);
  }());
  Tape tape;
  Variable loss;
  {
    Pass pass = Pass::training(7, 3);  // ends before backward, as in a trainer
    const Scope scope("model");
    const Variable logits = model.embed.logits(model.decoder(model.embed(tokens, pass), pass));
    loss = ops::cross_entropy(logits, tokens.value()).sum;
  }
  tape.backward(loss);
  return {loss.value(), parameters.gradients().clone(), {}};
}

void expect_same(const Step& found, const Step& expected) {
  EXPECT_TRUE(same_bits(found.loss, expected.loss));
  EXPECT_TRUE(same_bits(found.gradients, expected.gradients));
  if (expected.input_gradient.defined()) {
    EXPECT_TRUE(same_bits(found.input_gradient, expected.input_gradient));
  }
}

TEST(RecomputedBlocks, GiveTheBitsOfKeptOnesWithDropoutAndAnyThreads) {
  for (const DType dtype : kFloatingDTypes) {
    for (const bool norm_first : {true, false}) {
      TransformerOptions options = some_options();
      options.norm_first = norm_first;
      const Step expected = step_of_language_model(options, false, dtype);
      expect_same(step_of_language_model(options, true, dtype), expected);
      const test::WithThreads threads(3);
      expect_same(step_of_language_model(options, true, dtype), expected);
    }
  }
}

TEST(RecomputedBlocks, GiveTheBitsOfKeptOnesBesideFrozenParameters) {
  const TransformerOptions options = some_options();
  for (const char* prefix : {"embed", "decoder.block1", "decoder.block0.attention", "decoder"}) {
    const auto step = [&](bool recompute) {
      return step_of_language_model(options, recompute, DType::kFloat32, frozen(prefix));
    };
    SCOPED_TRACE(prefix);
    expect_same(step(true), step(false));
  }
}

// An encoder that a decoder reads: its output is an input of every block of the decoder.
Step step_of_two_stacks(bool recompute) {
  TransformerOptions options = some_options();
  options.recompute = recompute;
  struct Parts : Module {
    explicit Parts(const TransformerOptions& options)
        : encoder(submodule("encoder", std::make_unique<Encoder>(options))),
          decoder(submodule("decoder",
                            std::make_unique<Decoder>(options, DecoderBlock::Memory::kAttends))) {}
    Encoder& encoder;
    Decoder& decoder;
  } model(options);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  Random random(3);
  const Variable source = test::leaf(test::uniform(random, {2, 3, options.features}),
                                     mask_of({1, 1, 1, 1, 0, 1}, {2, 3}));
  const Variable target(test::uniform(random, {2, 4, options.features}), Variable::kConstant,
                        mask_of({1, 1, 1, 0, 1, 1, 0, 0}, {2, 4}));
  Tape tape;
  Pass pass = Pass::training(7, 3);
  const Variable y = model.decoder.decode(target, model.encoder(source, pass), pass);
  tape.backward(y, test::uniform(random, y.shape()));
  return {y.value(), parameters.gradients().clone(), source.grad().clone()};
}

TEST(RecomputedBlocks, GiveTheBitsOfKeptOnesThatReadAnotherSequence) {
  expect_same(step_of_two_stacks(true), step_of_two_stacks(false));
}

Step step_on_packed_row(bool recompute) {
  TransformerOptions options = some_options();
  options.recompute = recompute;
  Sequential layers;
  layers.add<Encoder>("encoder", options);
  layers.pack(PackWhen::kAlways);
  ParameterBuffer parameters(layers, DType::kFloat64, 1);
  Random random(3);
  const Variable x = test::leaf(test::uniform(random, {2, 4, options.features}),
                                mask_of({0, 1, 1, 1, 1, 1, 0, 0}, {2, 4}));
  Tape tape;
  const Variable y = [&] {
    Pass pass = Pass::training(7, 3);
    return layers(x, pass);
  }();
  tape.backward(y, test::uniform(random, y.shape()));
  return {y.value(), parameters.gradients().clone(), x.grad().clone()};
}

// The packing has ended by the time that the blocks run again.
TEST(RecomputedBlocks, GiveTheBitsOfKeptOnesOnAPackedRow) {
  expect_same(step_on_packed_row(true), step_on_packed_row(false));
}

TEST(RecomputedBlocks, RefuseParametersThatAreNotThoseOfTheForwardPass) {
  TransformerOptions options = some_options();
  options.recompute = true;
  Encoder encoder(options);
  ParameterBuffer parameters(encoder, DType::kFloat32, 1);
  Tape tape;
  const Variable y = encoder(Variable(Tensor::zeros({1, 3, options.features}, DType::kFloat32)));
  parameters.values().data<float>()[0] = 3;
  EXPECT_THAT(error_of([&] { tape.backward(ops::sum(y)); }),
              ::testing::HasSubstr("was written to after the forward pass"));
}

// A stack in training: what a step keeps for the backward pass, and the most that it uses.
struct Memory {
  std::size_t kept, most;
};
Memory memory_of(std::int64_t layers, bool recompute) {
  Encoder encoder({.features = 64, .heads = 4, .layers = layers, .recompute = recompute});
  ParameterBuffer parameters(encoder, DType::kFloat32, 1);
  const Variable x(Tensor::full({16, 128, 64}, 0.5, DType::kFloat32));
  const auto in_use = [] { return Pool::cpu().stats().bytes_in_use; };
  const std::size_t before = in_use();
  Tape tape;
  Pass pass = Pass::training(1, 1);
  const Variable y = ops::sum(encoder(x, pass));
  const std::size_t kept = in_use() - before;
  tape.backward(y);
  return {kept, Pool::cpu().stats().most_bytes_in_use - before};
}

// The most is that of the program so far, and so no less than that of the run with fewer bytes,
// which goes first.
TEST(RecomputedBlocks, KeepAValueForEachBlockAndTakeTheMemoryOfOne) {
  constexpr std::size_t kValue = 16 * 128 * 64 * sizeof(float);
  const Memory recomputed = memory_of(6, true), kept = memory_of(6, false);
  if (kept.most == 0) GTEST_SKIP() << "under AddressSanitizer the pool counts nothing";
  EXPECT_LT(recomputed.kept, 9 * kValue) << "the input of each block, and the last norm";
  EXPECT_GT(kept.kept, 6 * 12 * kValue);
  EXPECT_GT(kept.most, 3 * recomputed.most);
}

class SteadyRecomputedBlocks : public test::CountsAllocations {};

TEST_F(SteadyRecomputedBlocks, AllocateNothing) {
  TransformerOptions options = some_options();
  options.recompute = true;
  LanguageModelParts model(options);
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  const Variable tokens(some_tokens({2, 9}), Variable::kConstant,
                        mask_of({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}, {2, 9}));
  const auto step = [&](std::uint64_t number) {
    parameters.clear_gradients();
    Tape tape;
    Pass pass = Pass::training(7, number);
    const Variable logits = model.embed.logits(model.decoder(model.embed(tokens, pass), pass));
    tape.backward(ops::cross_entropy(logits, tokens.value()).sum);
  };
  for (std::uint64_t i = 0; i < 20; ++i) step(i);
  EXPECT_EQ(counted([&] {
              for (std::uint64_t i = 20; i < 40; ++i) step(i);
            }),
            0)
      << "the last of " << test::last_size << " bytes";
}

}  // namespace
}  // namespace maskgrad
