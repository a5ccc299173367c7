// Models that are not finite: never saved, and never answered with.
#include <limits>

#include <fmt/format.h>

#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;

class FiniteModel : public test::CliTest {
 protected:
  // Puts a number into a run's model, as sound a file as before.
  void spoil(const std::string& file, const char* tensor, std::int64_t element, float value) {
    std::map<std::string, Tensor> tensors = load_tensors(path(file));
    tensors.at(tensor).data<float>()[element] = value;
    save_tensors(path(file), tensors, SafetensorsFile::open(path(file)).metadata());
  }
};

TEST_F(FiniteModel, IsAllThatARunSaves) {
  for (const char* optimizer : {"adam", "adam-pytorch", "sgd"}) {
    for (const char* dtype : {"float32", "float64"}) {
      for (const char* clip : {"0", "1"}) {
        const auto result = train({"--out", "r", "--lr", "1e150", "--steps", "3", "--optimizer",
                                   optimizer, "--dtype", dtype, "--clip-norm", clip});
        expect_error(result, 1, "train: step ");
        EXPECT_FALSE(exists("r")) << optimizer << dtype << clip;
      }
    }
  }
}

TEST_F(FiniteModel, WasTheLastThatARunSavedBeforeItDiverged) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  EXPECT_EQ(train({"--out", "r", "--epochs", "3", "--lr", "1e8", "--resume"}).code, 1);
  for (const auto& [name, tensor] :
       load_tensors(path("r/checkpoints/step_000000000040.safetensors"))) {
    for (const float x : tensor.values<float>()) ASSERT_TRUE(std::isfinite(x)) << name;
  }
  EXPECT_EQ(train({"--out", "r", "--epochs", "2", "--lr", "0.001", "--resume"}).code, 0);
  EXPECT_EQ(run({"eval", "r"}).code, 0);
}

TEST_F(FiniteModel, IsTheOnlyOneThatAnyCommandUses) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  const std::string text =
      "weights: 'r/model.safetensors': dense.bias is nan at element 3: this model is not to be "
      "used";
  spoil("r/model.safetensors", "dense.bias", 3, std::numeric_limits<float>::quiet_NaN());
  expect_error(run({"eval", "r"}), 1, text);
  expect_error(run({"predict", "r", "x=1,y=2:x+y"}), 1, text);
  expect_error(run({"check", "r"}), 1, text);
  expect_error(run({"report", "r"}), 1, text);
  expect_error(train({"--out", "s", "--init", "r/model.safetensors"}), 1, text);
  EXPECT_FALSE(exists("s"));
  spoil("r/model.safetensors", "dense.bias", 3, -std::numeric_limits<float>::infinity());
  expect_error(run({"eval", "r"}), 1, "dense.bias is -inf at element 3");
}

TEST_F(FiniteModel, MayStillGiveWhatIsNot) {
  ASSERT_EQ(train({"--out", "r", "--epochs", "1"}).code, 0);
  spoil("r/model.safetensors", "dbd.bias", 9, 3e38f);
  spoil("r/model.safetensors", "dbd.bias", 8, -3e38f);
  expect_error(run({"eval", "r"}), 1, "eval: batch 0: the loss is inf");
  spoil("r/model.safetensors", "dense.bias", 0, 3e38f);
  spoil("r/model.safetensors", "dbd.weight", 5, 3e38f);
  expect_error(run({"predict", "r", "x=1,y=2:x+y"}), 1, "blog: the model has no answer to");
}

TEST_F(FiniteModel, HasNoNumbersThatItsDTypeDoesNotHold) {
  ASSERT_EQ(train({"--out", "r", "--steps", "1", "--dtype", "float64"}).code, 0);
  std::map<std::string, Tensor> tensors = load_tensors(path("r/model.safetensors"));
  tensors.at("dbd.bias").data<double>()[2] = 1e300;
  save_tensors(path("w.safetensors"), tensors);
  expect_error(train({"--out", "s", "--init", "w.safetensors"}), 1,
               "'w.safetensors': element 2 of dbd.bias is more than float32 holds");
  EXPECT_FALSE(exists("s"));
}

}  // namespace
}  // namespace maskgrad
