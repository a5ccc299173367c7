// A small causal language model for tests.
#pragma once

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/generate/generate.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/transformer.hpp>

namespace maskgrad::test {

struct SmallLanguageModel {
  static constexpr std::int64_t kVocabulary = 11, kFeatures = 16, kMostPositions = 200;

  explicit SmallLanguageModel(DType dtype = DType::kFloat32, TransformerOptions options = usual())
      : model(options), parameters(model, dtype, 1) {}

  static TransformerOptions usual() {
    return {.features = kFeatures, .heads = 4, .key_heads = 2, .layers = 2};
  }

  Variable operator()(const Variable& tokens, Pass& pass) { return model(tokens, pass); }

  struct Parts : Module {
    explicit Parts(const TransformerOptions& options)
        : embed(submodule("embed", std::make_unique<Embed>(kVocabulary, kFeatures))),
          positions(submodule("positions",
                              std::make_unique<LearnedPositions>(kMostPositions, kFeatures))),
          decoder(submodule("decoder", std::make_unique<Decoder>(options))) {}
    Variable operator()(const Variable& tokens, Pass& pass) {
      return embed.logits(decoder(positions(embed(tokens, pass), pass), pass));
    }
    Embed& embed;
    LearnedPositions& positions;
    Decoder& decoder;
  };
  Parts model;
  ParameterBuffer parameters;
};

/// The model, which must outlive it.
inline LanguageModel as_function(SmallLanguageModel& model) {
  return [&](const Variable& tokens, Pass& pass) { return model(tokens, pass); };
}

/// Prompts of 1, 7, 70, 2 and 33 random tokens.
inline std::vector<Tokens> some_prompts() {
  Random random(3);
  std::vector<Tokens> prompts;
  for (const std::size_t length : {1u, 7u, 70u, 2u, 33u}) {
    Tokens prompt(length);
    for (std::int64_t& token : prompt) {
      token = random.integer(0, SmallLanguageModel::kVocabulary - 1);
    }
    prompts.push_back(prompt);
  }
  return prompts;
}

}  // namespace maskgrad::test
