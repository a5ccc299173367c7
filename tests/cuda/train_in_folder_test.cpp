// A program trains in a folder on the device that its options name, with the CPU's weights.
#include <filesystem>
#include <map>
#include <memory>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/nn/element_losses.hpp>
#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/run/train_in_folder.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

// Numbers x, and answers 1 - x.
struct Numbers : Dataset {
  std::int64_t size() const override { return 10; }
  Batch collate(std::span<const std::int64_t> ids) const override {
    const auto count = static_cast<std::int64_t>(ids.size());
    Tensor x = Tensor::empty({count, 1}, DType::kFloat32), y = x.clone();
    for (std::int64_t i = 0; i < count; ++i) {
      x.data<float>()[i] = 0.1f * static_cast<float>(ids[static_cast<std::size_t>(i)]);
      y.data<float>()[i] = 1 - x.data<float>()[i];
    }
    return {.inputs = x, .targets = y, .ids = {}};
  }
};

class TrainInFolder : public ::testing::Test {
 protected:
  RunEnd train(const std::string& folder, const std::string& device, std::int64_t epochs) {
    const TrainingOptions options = {.folder = scratch_.path() / folder,
                                     .resume = true,
                                     .epochs = epochs,
                                     .batch_size = 4,
                                     .device = device,
                                     .tensorboard = false,
                                     .validation = &data_};
    Sequential layers;
    layers.add<Dense>("hidden", 1, 8, ops::tanh).add<Dense>("answer", 8, 1);
    const Device there = choose_device(device);
    const auto model = [&](const Batch& batch, Pass& pass) -> ModelOutput {
      const Variable x(batch.inputs.to(there)), y(batch.targets.to(there));
      return ops::mse(layers(x, pass), y);
    };
    return train_in_folder(layers, model, data_, options);
  }
  std::map<std::string, Tensor> weights(const std::string& folder) const {
    return load_tensors(RunPaths(scratch_.path() / folder).model);
  }
  void expect_same_weights(const std::string& a, const std::string& b) const {
    const auto of_a = weights(a), of_b = weights(b);
    ASSERT_EQ(of_a.size(), of_b.size());
    for (const auto& [name, value] : of_a) {
      EXPECT_TRUE(is_identical(value, of_b.at(name))) << name;
    }
  }

  test::ScratchFolder scratch_;
  Numbers data_;
};

TEST_F(TrainInFolder, ComputesWhereItsOptionsSay) {
  const double first = train("here", "cpu", 1).validation.front().mean();
  const RunEnd there = train("there", "cuda", 1);
  EXPECT_EQ(there.validation.front().mean(), first);
  expect_same_weights("here", "there");
  // It goes on where it was not begun.
  EXPECT_LT(train("here", "cuda", 3).validation.front().mean(), first);
  train("there", "cpu", 3);
  expect_same_weights("here", "there");
}

TEST_F(TrainInFolder, KeepsTheDeviceInItsSettings) {
  train("run", "cuda", 1);
  EXPECT_THAT(read_file(scratch_.path() / "run/config.toml"),
              ::testing::HasSubstr("\ndevice = 'cuda' "));
}

TEST_F(TrainInFolder, RefusesADeviceThatIsNone) {
  EXPECT_EQ(test::error_of([&] {
              train_in_folder(*std::make_unique<Sequential>(), {}, data_,
                              {.folder = scratch_.path() / "x", .device = "gpu"});
            }),
            "[device] device must be one of cpu, auto, cuda, not 'gpu'");
}

TEST(Files, AreWrittenFromTheHost) {
  const test::ScratchFolder scratch;
  const Tensor x = Tensor::zeros({2}, DType::kFloat32, test::kCuda);
  EXPECT_THAT(test::error_of([&] {
                save_tensors(scratch.path() / "x", {{"x", x}});
              }),
              ::testing::EndsWith("tensor \"x\" is on cuda, and files are written from the host; "
                                  "bring it there with to(Device{})"));
}

}  // namespace
}  // namespace maskgrad
