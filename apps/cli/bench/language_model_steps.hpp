// A small GPT and its training steps, for benchmarks.
#pragma once

#include <span>

#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/tensor/autograd/observer.hpp>
#include <maskgrad/train/optim/adam.hpp>

namespace maskgrad::apps {

/// Sizes of a decoder with heads of 32 features and 4 D hidden ones, over 20 tokens.
struct LanguageModelSizes {
  std::int64_t features, layers;
  std::int64_t positions = 48;
};

/// Token and position embeddings, a pre-norm decoder with gelu, and logits.
class BenchModel {
 public:
  static constexpr std::int64_t kVocabulary = 20;

  explicit BenchModel(const LanguageModelSizes& sizes);

  const LanguageModelSizes& sizes() const { return sizes_; }
  ParameterBuffer& parameters() { return parameters_; }
  /// Logits [B, S, V], or [1, K, V] on a packed row.
  Variable operator()(const Variable& tokens, Pass& pass) { return layers_(tokens, pass); }

  /// Multiplications and additions of all matrix products of one forward pass over so many
  /// positions, whose attention keeps so many pairs of a query and a key.
  double forward_flops(std::int64_t positions, std::int64_t pairs) const;

 private:
  static Sequential& build(Sequential& layers, const LanguageModelSizes& sizes);

  LanguageModelSizes sizes_;
  Sequential layers_;
  ParameterBuffer parameters_;
};

/// Whole training steps on one batch of random tokens, one row for each length: forward, backward,
/// clipping, AdamW. The positions of shorter rows do not exist; they are padded or packed.
class LanguageModelSteps {
 public:
  LanguageModelSteps(BenchModel& model, std::span<const std::int64_t> lengths);

  void operator()() { step(nullptr); }
  /// The tokens that exist.
  std::int64_t tokens() const { return tokens_; }
  /// Of a step: three times those of a forward pass.
  double flops() const;
  /// The most memory that the pool had handed out behind any operation of a step, in MB.
  double peak_megabytes();

 private:
  void step(TapeObserver* observer);

  BenchModel& model_;
  Adam adam_;
  Variable inputs_;
  Tensor targets_;
  std::int64_t tokens_ = 0, pairs_ = 0;
};

}  // namespace maskgrad::apps
