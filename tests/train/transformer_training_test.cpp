// A whole training of a small GPT against PyTorch's (tests/data/transformer/training.safetensors,
// which tests/reference/transformer_training.py describes).
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/masking.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/trainer.hpp>

#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/pytorch_training.hpp"

namespace maskgrad {
namespace {

using test::Tensors;
using test::test_data;
using test::to_doubles;
using test::under;

constexpr std::int64_t kFeatures = 32, kVocabulary = 20, kSteps = 500, kBatch = 8;

const Tensors& fixture() {
  static const Tensors tensors = load_tensors(test_data("transformer/training.safetensors"));
  return tensors;
}

// The rows of all batches, one batch behind the other.
class Rows final : public Dataset {
 public:
  std::int64_t size() const override { return rows_.numel(); }
  Batch collate(std::span<const std::int64_t> ids) const override {
    const std::int64_t length = tokens_.dim(1), count = std::ssize(ids);
    const Shape shape = {count, length - 1};
    Batch batch;
    batch.inputs = Tensor::empty(shape, DType::kInt32);
    batch.targets = Tensor::empty(shape, DType::kInt32);
    Tensor asked = Tensor::empty(shape, DType::kBool);
    for (std::int64_t b = 0; b < count; ++b) {
      const auto id = static_cast<std::size_t>(ids[static_cast<std::size_t>(b)]);
      const std::int64_t row = rows_.values<std::int32_t>()[id];
      const std::int64_t first = b * (length - 1);
      const std::int32_t* text = tokens_.data<std::int32_t>() + row * length;
      std::copy_n(text, length - 1, batch.inputs.data<std::int32_t>() + first);
      std::copy_n(text + 1, length - 1, batch.targets.data<std::int32_t>() + first);
      std::copy_n(asked_.data<bool>() + row * (length - 1), length - 1, asked.data<bool>() + first);
    }
    batch.others.push_back({"asked", asked});
    return batch;
  }

 private:
  const Tensor tokens_ = fixture().at("tokens"), asked_ = fixture().at("asked"),
               rows_ = fixture().at("batches");
};

// What PyTorch's training is made of, and ways to compute the same.
struct Method {
  Adam::Options adam = {.beta2 = 0.98, .eps = 1e-8, .form = Adam::Form::kPyTorch};
  Trainer::Options training = {.lr = 2e-3,
                               .schedule = {.kind = Schedule::Kind::kCosine, .warmup_steps = 50},
                               .clip_norm = 1.5};
  bool (*decays)(std::string_view, const Shape&) = is_matrix;
  PackWhen pack = PackWhen::kNever;
  DType dtype = DType::kFloat64;
};

class Losses final : public Callback {
 public:
  Losses(std::vector<double>& losses, std::size_t most) : losses_(losses), most_(most) {}
  void on_step(const Trainer&, const StepInfo& step) override { losses_.push_back(step.loss); }
  bool wants_to_stop() const override { return losses_.size() >= most_; }

 private:
  std::vector<double>& losses_;
  std::size_t most_;
};

struct Gpt : Sequential {
  explicit Gpt(PackWhen when) {
    add<Masking>("masking");
    add<Embed>("embed", kVocabulary, kFeatures);
    add<LearnedPositions>("positions", fixture().at("asked").dim(1), kFeatures);
    add<Decoder>("decoder", TransformerOptions{.features = kFeatures, .heads = 4, .layers = 2});
    add<Dense>("logits", kFeatures, kVocabulary);
    pack(when);
  }
};

struct Trained {
  std::vector<double> losses;
  Tensors average;
};

Trained train(Method method, std::size_t steps = kSteps) {
  Gpt layers(method.pack);
  ParameterBuffer parameters(layers, method.dtype, 0, {},
                             {{.name = "decay", .owns = method.decays, .weight_decay = 0.05},
                              {.name = "other", .owns = is_any}});
  parameters.load(under(fixture(), "start."));
  Adam adam(parameters, method.adam);
  WeightAverage average(parameters, 0.99);
  method.training.average = &average;
  const Rows rows;
  DataLoader loader(rows, {.batch_size = kBatch});
  const Model model = [&](const Batch& batch, Pass& pass) {
    const Variable logits = layers(Variable(batch.inputs), pass);
    return ops::cross_entropy(ops::with_mask(logits, SequenceMask(batch["asked"])), batch.targets);
  };
  Trainer trainer(model, parameters, adam, loader, method.training);
  EXPECT_EQ(trainer.total_steps(), kSteps);
  Trained trained;
  trainer.add(std::make_unique<Losses>(trained.losses, steps));
  trainer.run(false);
  for (const auto& [name, value] : parameters.named_pieces(average.values())) {
    trained.average[name] = value.clone();
  }
  return trained;
}

// Of the steps that were made.
double largest_difference(const std::vector<double>& losses) {
  const std::vector<double> expected = to_doubles(fixture().at("losses"));
  double largest = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    largest = std::max(largest, std::abs(losses[i] - expected.at(i)));
  }
  return largest;
}

// The bias of keys is what differs most in the average. The gradient of the loss by it is nothing
// but rounding, see transformer_reference_test.cpp, and Adam divides it by its own size and eps.
TEST(TransformerTraining, FiveHundredStepsHavePyTorchsLossesAndAverageOfTheWeights) {
  const Trained trained = train({});
  const std::vector<double> expected = to_doubles(fixture().at("losses"));
  ASSERT_EQ(trained.losses.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(trained.losses[i], expected[i], 1e-12) << "step " << i;
  }
  const Tensors average = under(fixture(), "average.");
  ASSERT_EQ(trained.average.size(), average.size());
  for (const auto& [name, theirs] : average) {
    const Tensor& ours = trained.average.at(name);
    ASSERT_EQ(ours.shape(), theirs.shape()) << name;
    const double most = name.ends_with(".k_bias") ? 1e-9 : 1e-12;
    for (std::int64_t i = 0; i < theirs.numel(); ++i) {
      ASSERT_NEAR(ours.data<double>()[i], theirs.data<double>()[i], most) << name << " " << i;
    }
  }
}

TEST(TransformerTraining, FiveHundredStepsInFloat32StayBesidePyTorchs) {
  const Trained trained = train({.dtype = DType::kFloat32});
  ASSERT_EQ(trained.losses.size(), static_cast<std::size_t>(kSteps));
  EXPECT_LT(largest_difference(trained.losses), 1e-5);
}

TEST(TransformerTraining, PackedRowsAndMicroBatchesHaveTheSameLosses) {
  Method method = {.pack = PackWhen::kAlways};
  EXPECT_LT(largest_difference(train(method, 60).losses), 1e-12);
  method.training.micro_batches = 3;
  EXPECT_LT(largest_difference(train(method, 60).losses), 1e-12);
}

// What a training would show that does something else.
TEST(TransformerTraining, AnotherTrainingHasOtherLosses) {
  const auto differs = [](const char* what, const Method& method, std::size_t steps = 12) {
    EXPECT_GT(largest_difference(train(method, steps).losses), 1e-6) << what;
  };
  Method without_clipping, without_warmup, without_decline, keras, other_beta, all_decay;
  without_clipping.training.clip_norm = 0;
  without_warmup.training.schedule.warmup_steps = 0;
  without_decline.training.schedule.kind = Schedule::Kind::kConstant;
  keras.adam.form = Adam::Form::kKeras;
  other_beta.adam.beta2 = 0.99;
  all_decay.decays = is_any;
  differs("no clipping", without_clipping);
  differs("no warm-up", without_warmup);
  differs("no decline of the rate behind it", without_decline, 60);
  differs("eps as in Keras", keras);
  differs("another beta", other_beta);
  differs("decay of all parameters", all_decay);
}

}  // namespace
}  // namespace maskgrad
