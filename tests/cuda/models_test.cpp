// Whole models train on a device with the CPU's weights: that of the article, and transformers.
#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/reflect.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>

#include "cuda/device_run.hpp"
#include "cuda/on_cuda.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::DeviceRun;
using test::kCuda;
using test::Way;

constexpr std::int64_t kLength = 20, kVocabulary = 20;

// Sequences of which most are short, each with a target.
SequenceDataset make_data() {
  SequenceDataset dataset(kLength);
  Random random(12);
  for (int i = 0; i < 8; ++i) {
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(random.integer(1, kLength)));
    for (auto& token : tokens) token = random.integer(1, kVocabulary - 1);
    dataset.add(tokens, tokens.front());
  }
  return dataset;
}

// Cross-entropy and accuracy of what layers make of tokens.
struct OfLayers : test::TrainedModel {
  Sequential& layers = submodule("layers", std::make_unique<Sequential>());

  OfLayers() { layers.add<Masking>("masking", 0); }

  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    const Variable logits = layers(Variable(batch.inputs), pass);
    const Tensor targets = targets_of(batch);
    return {ops::cross_entropy(logits, targets),
            {to_metric("accuracy", ops::accuracy(logits, targets))}};
  }
  virtual Tensor targets_of(const Batch& batch) { return batch.targets; }
};

// Its mask by key or by query.
template <MaskAxis axis>
struct Article : OfLayers {
  Article() {
    layers.add<Embed>("embed", kVocabulary, 15);
    layers.add<Reflect>("reflect", 15, axis);
    layers.add<Reshape>("reshape", std::vector<std::int64_t>{kLength * 15});
    layers.add<Dense>("dense", kLength * 15, 150, ops::relu);
    layers.add<Dense>("dbd", 150, kVocabulary);
  }
};

// Tells of each token what comes next.
struct LanguageModelOfBlocks : OfLayers {
  LanguageModelOfBlocks() {
    layers.add<Embed>("embed", kVocabulary, 16)
        .add<LearnedPositions>("positions", kLength, 16)
        .add<Decoder>("decoder", TransformerOptions{.features = 16, .heads = 2, .layers = 2})
        .add<Dense>("logits", 16, kVocabulary);
  }
  Tensor targets_of(const Batch& batch) override {
    Tensor next = Tensor::zeros(batch.inputs.shape(), DType::kInt64);
    const auto tokens = batch.inputs.values<std::int64_t>();
    for (std::int64_t i = 0; i + 1 < next.numel(); ++i) {
      if ((i + 1) % kLength != 0) {
        next.data<std::int64_t>()[i] = tokens[static_cast<std::size_t>(i + 1)];
      }
    }
    return next;
  }
};

// Tells each token's own class, by blocks of another make.
struct Tagger : OfLayers {
  Tagger() {
    layers.add<Embed>("embed", kVocabulary, 12)
        .add<SinusoidalPositions>("positions")
        .add<Encoder>("encoder", TransformerOptions{.features = 12,
                                                    .heads = 4,
                                                    .key_heads = 2,
                                                    .layers = 1,
                                                    .norm = NormKind::kRms,
                                                    .norm_first = false,
                                                    .activation = Activation::kSilu,
                                                    .gated = true,
                                                    .bias = false,
                                                    .recompute = true})
        .add<Dense>("logits", 12, kVocabulary);
  }
  Tensor targets_of(const Batch& batch) override { return batch.inputs; }
};

template <class Model>
class CudaModel : public ::testing::Test {
 public:
  static constexpr std::int64_t kSteps = 4, kHalf = 3;
  static constexpr Way kWay = {"", DType::kFloat32, false, 1, 0.5, 0, 3};

  const SequenceDataset data = make_data();

  DeviceRun run(Device device, std::int64_t steps, const std::filesystem::path& checkpoint = {}) {
    return {std::make_unique<Model>(), data, device, kWay, steps, checkpoint};
  }
};

using Models = ::testing::Types<Article<MaskAxis::kKey>, Article<MaskAxis::kQuery>,
                                LanguageModelOfBlocks, Tagger>;
TYPED_TEST_SUITE(CudaModel, Models);

TYPED_TEST(CudaModel, HasTheWeightsOfTheCpuInEveryOrderOfThreads) {
  DeviceRun here = this->run({}, this->kSteps);
  const Tensor start = here.parameters.values().clone();
  here.run();
  EXPECT_FALSE(is_identical(here.parameters.values(), start));
  test::in_each_order([&] {
    DeviceRun there = this->run(kCuda, this->kSteps);
    there.run();
    EXPECT_EQ(there.parameters.values().device(), kCuda);
    expect_same(there, here);
  });
}

TYPED_TEST(CudaModel, GoesOnFromACheckpointOfAnotherDevice) {
  DeviceRun unbroken = this->run({}, this->kSteps);
  unbroken.run();
  const test::ScratchFolder folder;
  for (const auto& [first, second] : {std::pair(kCuda, Device{}), {Device{}, kCuda}}) {
    const auto file = folder / "checkpoint.safetensors";
    this->run(first, this->kHalf).run().save(file);
    DeviceRun again = this->run(second, this->kSteps, file);
    again.run();
    expect_same(again, unbroken);
  }
}

}  // namespace
}  // namespace maskgrad
