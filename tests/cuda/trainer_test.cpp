// A model whose parameters are on a device is trained by the Trainer, with the CPU's weights, and
// goes on from a checkpoint of either device on the other.
#include <map>

#include <gmock/gmock.h>

#include <maskgrad/layers/embed.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/element_losses.hpp>
#include <maskgrad/train/callbacks/best_file.hpp>
#include <maskgrad/train/callbacks/tensorboard_callback.hpp>
#include <maskgrad/train/data/sequence_dataset.hpp>
#include <maskgrad/train/model_file.hpp>

#include "cuda/device_run.hpp"
#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::DeviceRun;
using test::kCuda;
using test::same_bits;
using test::TrainedModel;
using test::Way;

constexpr std::int64_t kVocabulary = 90, kFeatures = 6;

// Few tokens of many, in sequences of which some are short.
SequenceDataset small_data() {
  SequenceDataset dataset(7);
  Random random(11);
  for (int i = 0; i < 12; ++i) {
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(random.integer(1, 7)));
    for (auto& token : tokens) token = random.integer(1, kVocabulary - 1);
    dataset.add(tokens, 0);
  }
  return dataset;
}

// Learns by heart which class a token is of, its number modulo kFeatures, and whether this is odd.
class Classes : public TrainedModel {
 public:
  Classes()
      : embed_(submodule("embed", std::make_unique<Embed>(kVocabulary, kFeatures))),
        slope_(parameter("slope", {kFeatures}, ones())),
        bias_(parameter("bias", {kFeatures}, zeros())) {}

  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    const Variable tokens(batch.inputs, Variable::kConstant,
                          SequenceMask::from_tokens(batch.inputs, 0));
    const Variable x = embed_(tokens, pass);
    const Variable logits = ops::add(ops::multiply(ops::tanh(x), slope_), bias_);
    const Tensor classes = of_tokens(batch.inputs, [](std::int64_t id) { return id % kFeatures; });
    const ops::SumCount loss = ops::cross_entropy(logits, classes, 0.1);
    const ops::SumCount odd = ops::bce_with_logits(x, oddness(x, batch.inputs));
    return {{{"class", loss.sum, loss.count}, {"odd", odd.sum, odd.count, 0.5}},
            {to_metric("accuracy", ops::accuracy(logits, classes)),
             to_metric("whole", ops::sequence_accuracy(logits, classes))}};
  }

 private:
  template <class F>
  static Tensor of_tokens(const Tensor& tokens, F f) {
    Tensor made = tokens.clone();
    for (std::int64_t i = 0; i < made.numel(); ++i) {
      made.data<std::int64_t>()[i] = f(made.data<std::int64_t>()[i]);
    }
    return made;
  }
  // [B, S, kFeatures], where x is.
  static Tensor oddness(const Variable& x, const Tensor& tokens) {
    Tensor odd = Tensor::zeros(x.shape(), DType::kFloat64);
    for (std::int64_t i = 0; i < odd.numel(); ++i) {
      odd.data<double>()[i] =
          static_cast<double>(tokens.data<std::int64_t>()[i / kFeatures] % kFeatures % 2);
    }
    return odd.to(x.dtype()).to(x.device());
  }

  Embed& embed_;
  Parameter &slope_, &bias_;
};

// A run of the model above on data that all runs share.
struct SmallRun : DeviceRun {
  SmallRun(Device device, const Way& way, std::int64_t steps,
           const std::filesystem::path& checkpoint = {})
      : DeviceRun(std::make_unique<Classes>(), data(), device, way, steps, checkpoint) {}

  static const SequenceDataset& data() {
    static const SequenceDataset made = small_data();
    return made;
  }
};

class CudaTrainer : public ::testing::TestWithParam<Way> {};

constexpr std::int64_t kSteps = 21, kHalf = 9;

TEST_P(CudaTrainer, HasTheWeightsOfTheCpuInEveryOrderOfThreads) {
  SmallRun here({}, GetParam(), kSteps);
  here.run();
  EXPECT_EQ(here.trainer->state().step, kSteps);
  test::in_each_order([&] {
    SmallRun there(kCuda, GetParam(), kSteps);
    there.run();
    EXPECT_EQ(there.parameters.values().device(), kCuda);
    EXPECT_EQ(there.best.values.device(), kCuda);
    expect_same(there, here);
  });
}

TEST_P(CudaTrainer, GoesOnFromACheckpointOfAnotherDevice) {
  SmallRun unbroken({}, GetParam(), kSteps);
  unbroken.run();
  const test::ScratchFolder folder;
  for (const auto& [first, second] :
       {std::pair(kCuda, kCuda), {kCuda, Device{}}, {Device{}, kCuda}}) {
    const auto file = folder / "checkpoint.safetensors";
    SmallRun(first, GetParam(), kHalf).run().save(file);
    SmallRun again(second, GetParam(), kSteps, file);
    again.run();
    EXPECT_EQ(again.parameters.values().device(), second);
    expect_same(again, unbroken);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, CudaTrainer,
                         ::testing::Values(Way{"Adam"}, Way{"Float64", DType::kFloat64},
                                           Way{"Sgd", DType::kFloat32, true, 1, 0.5},
                                           Way{"MicroBatches", DType::kFloat32, false, 3, 0.2,
                                               0.9}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST(CudaRun, WritesTheFilesOfTheCpu) {
  const test::ScratchFolder folder;
  std::map<std::string, Tensor> wanted;
  for (const Device device : {Device{}, kCuda}) {
    SmallRun run(device, {}, kHalf);
    run.trainer->add(std::make_unique<BestFile>(folder / "best.safetensors"));
    run.trainer->add(std::make_unique<TensorBoardCallback>(folder / "logs"));
    run.run();
    save_model(folder / "model.safetensors", run.parameters, {});
    std::map<std::string, Tensor> got = load_model(folder / "model.safetensors").tensors;
    for (auto& [name, tensor] : load_model(folder / "best.safetensors").tensors) {
      got.emplace("best/" + name, tensor);
    }
    if (wanted.empty()) wanted = got;
    EXPECT_EQ(got.size(), 6U);
    for (const auto& [name, tensor] : got) {
      EXPECT_TRUE(same_bits(tensor, wanted.at(name))) << name;
    }
  }
}

// The loss of log(0) is not finite; that of sqrt(0) is, but its gradient is not.
TEST(CudaTraining, ChangesNothingWhereALossOrANormIsNotFinite) {
  struct Zeros : Module {
    Parameter& w = parameter("w", {3}, zeros());
  };
  for (const auto op : {ops::log, ops::sqrt}) {
    std::vector<std::string> errors;
    for (const Device device : {Device{}, kCuda}) {
      Zeros model;
      ParameterBuffer parameters(model, DType::kFloat32, 3, device);
      Adam adam(parameters);
      WeightAverage average(parameters, 0.5);
      const SequenceDataset data = small_data();
      DataLoader loader(data, {.batch_size = 4});
      Trainer trainer(
          [&](const Batch&, Pass&) -> ModelOutput {
            const Variable target(Tensor::full({3}, 1, DType::kFloat32, device));
            return {ops::mse(op(model.w), target)};
          },
          parameters, adam, loader, {.clip_norm = 1, .average = &average});
      errors.push_back(test::error_of([&] { trainer.step(loader.next()); }));
      std::vector<Tensor> flats = {parameters.values(), average.values()};
      for (const auto& [name, flat] : adam.state()) flats.push_back(flat);
      for (const Tensor& flat : flats) {
        EXPECT_THAT(test::to_doubles(flat.to(Device{})), ::testing::Each(0));
      }
      EXPECT_EQ(adam.steps(), 0);
    }
    EXPECT_THAT(errors[0],
                ::testing::AnyOf(::testing::HasSubstr("log gave -inf at element 0"),
                                 ::testing::HasSubstr("the gradient of w is -inf at element 0")));
    EXPECT_EQ(errors[1], errors[0]);
  }
}

}  // namespace
}  // namespace maskgrad
