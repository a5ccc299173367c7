// A small model of arithmetic in training, for what every step promises.
#pragma once

#include <memory>
#include <vector>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/working_steps.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad::test {

/// A way to train it.
struct SmallTrainingKind {
  const char* name;
  PackWhen pack = PackWhen::kNever;
  double dropout = 0;
  bool recompute = false;
};

/// The model, and six batches of which each has its own lengths.
class SmallTraining {
 public:
  explicit SmallTraining(const SmallTrainingKind& kind) {
    constexpr std::int64_t kFeatures = 32, kVocabulary = 20;
    layers_.add<Embed>("embed", kVocabulary, kFeatures)
        .add<LearnedPositions>("positions", 64, kFeatures)
        .add<Decoder>("decoder", TransformerOptions{.features = kFeatures,
                                                    .heads = 2,
                                                    .layers = 2,
                                                    .dropout = kind.dropout,
                                                    .recompute = kind.recompute})
        .add<Dense>("logits", kFeatures, kVocabulary)
        .pack(kind.pack);
    parameters_ = std::make_unique<ParameterBuffer>(layers_, DType::kFloat32, 1);
    adam_ = std::make_unique<Adam>(*parameters_);
    loader_ = std::make_unique<DataLoader>(data_, DataLoader::Options{.batch_size = 16});
    for (int i = 0; i < 6; ++i) batches_.push_back(loader_->next());
    loader_ = std::make_unique<DataLoader>(data_, DataLoader::Options{.batch_size = 16});
    const auto model = [this](const Batch& batch, Pass& pass) -> ModelOutput {
      const Variable tokens(batch.inputs, Variable::kConstant,
                            SequenceMask::from_tokens(batch.inputs, kPadToken));
      const Variable logits = ops::with_mask(layers_(tokens, pass), SequenceMask(batch["asked"]));
      return {ops::cross_entropy(logits, batch.targets)};
    };
    trainer_ = std::make_unique<Trainer>(model, *parameters_, *adam_, *loader_,
                                         Trainer::Options{.clip_norm = 1});
  }

  void run(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      for (const Batch& batch : batches_) trainer_->step(batch);
    }
  }
  const Tensor& weights() const { return parameters_->values(); }

 private:
  WorkingSteps data_{{.samples = 96, .seed = 2}};
  Sequential layers_;
  std::unique_ptr<ParameterBuffer> parameters_;
  std::unique_ptr<Adam> adam_;
  std::unique_ptr<DataLoader> loader_;
  std::vector<Batch> batches_;
  std::unique_ptr<Trainer> trainer_;
};

inline constexpr SmallTrainingKind kSmallTrainings[] = {
    {"padded"},
    {"packed", PackWhen::kAlways},
    {"dropout", PackWhen::kNever, 0.1},
    {"recompute", PackWhen::kAlways, 0.1, true}};

}  // namespace maskgrad::test
