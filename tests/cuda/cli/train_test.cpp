// maskgrad train --device cuda: recipes end with the weights that they have on the CPU, and a run
// goes on where it was not begun. The recipe distractors is left out, as its figures take a minute.
#include <map>
#include <regex>

#include <fmt/format.h>

#include <maskgrad/train/formats/tensor_file.hpp>

#include "emulation/sanitized.hpp"
#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using Args = std::vector<std::string>;

class TrainOnDevice : public test::CliTest {
 protected:
  // Runs `train` on the device into a folder of this name.
  void train_on(const std::string& device, Args args, const Args& more = {}) {
    args.insert(args.begin(), "train");
    args.insert(args.end(), {"--out", device, "--progress", "off", "--device", device});
    args.insert(args.end(), more.begin(), more.end());
    const test::CliResult result = run(args);
    ASSERT_EQ(result.code, 0) << result.err;
  }

  // Two of them, in the folder t.
  void write_texts() const {
    std::filesystem::create_directories(path("t"));
    std::string text;
    for (int i = 0; i < 40; ++i) text += "one two three\n";
    write("t/a", text);
    write("t/b", text + "four\n");
  }

  std::map<std::string, Tensor> weights(const std::string& run) const {
    return load_tensors(path(run + "/model.safetensors"));
  }

  void expect_same_weights(const std::string& a, const std::string& b) const {
    const auto of_a = weights(a), of_b = weights(b);
    ASSERT_EQ(of_a.size(), of_b.size());
    for (const auto& [name, value] : of_a) {
      EXPECT_TRUE(is_identical(value, of_b.at(name))) << name;
    }
  }

  void expect_same_on_both(const Args& args) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(args, " ")));
    train_on("cpu", args);
    train_on("cuda", args);
    expect_same_weights("cpu", "cuda");
  }
};

TEST_F(TrainOnDevice, GivesTheBlogModelTheWeightsOfTheCpu) {
  for (const char* mask : {"none", "key", "query"}) {
    expect_same_on_both({"blog", "--data", "d", "--steps", "12", "--mask", mask, "--force"});
  }
}

TEST_F(TrainOnDevice, GivesASmallTransformerTheWeightsOfTheCpu) {
  expect_same_on_both({"arithmetic", "--features", "16", "--layers", "1", "--heads", "2",
                       "--batch-size", "4", "--samples", "40", "--minutes", "0", "--steps", "3"});
}

TEST_F(TrainOnDevice, GivesAModelOfTextsTheWeightsOfTheCpu) {
  write_texts();
  expect_same_on_both({"text", "--data", "t", "--features", "8", "--layers", "1", "--heads", "2",
                       "--context", "16", "--minutes", "0", "--steps", "3"});
}

// All but the first, and one for each size of batches.
TEST_F(TrainOnDevice, ReplaysTheStepsOfARun) {
#if defined(MASKGRAD_SANITIZES_ADDRESS)
  GTEST_SKIP() << "each step has memory of its own";
#endif
  const auto replayed = [&](Args args) {
    args.insert(args.begin(), "train");
    args.insert(args.end(), {"--steps", "30", "--out", "r", "--force", "--progress", "off",
                             "--device", "cuda", "--seed", "3"});
    const test::CliResult result = run(args);
    EXPECT_EQ(result.code, 0) << result.err;
    std::smatch count;
    const std::string text = result.out;
    EXPECT_TRUE(std::regex_search(text, count, std::regex("; ([0-9]+) replayed as graphs")))
        << text;
    return std::stoi(count[1]);
  };
  EXPECT_EQ(replayed({"blog", "--data", "d"}), 28);
  EXPECT_EQ(replayed({"blog", "--data", "d", "--mask", "query"}), 28);
  EXPECT_EQ(replayed({"gates", "--data", "d", "--gate", "sigmoid", "--hidden", "12"}), 28);
  EXPECT_GT(replayed({"arithmetic", "--features", "8", "--heads", "2", "--layers", "1", "--minutes",
                      "0", "--batch-size", "2", "--samples", "80", "--pack", "never"}),
            20);
  write_texts();
  EXPECT_GT(replayed({"text", "--data", "t", "--features", "8", "--heads", "2", "--layers", "1",
                      "--minutes", "0", "--context", "8", "--batch-size", "2", "--pack", "never"}),
            20);
}

TEST_F(TrainOnDevice, GivesEachGateTheWeightsOfTheCpu) {
  for (const char* gate : {"sigmoid", "tanh", "softmax", "threshold", "highway", "glu"}) {
    expect_same_on_both(
        {"gates", "--data", "d", "--gate", gate, "--hidden", "12", "--steps", "3", "--force"});
  }
}

TEST_F(TrainOnDevice, GivesEachWayToChooseATaskTheWeightsOfTheCpu) {
  for (const char* choice : {"gate", "query"}) {
    expect_same_on_both({"tasks", "--choice", choice, "--features", "8", "--heads", "2", "--hidden",
                         "16", "--gate-features", "8", "--batch-size", "4", "--steps", "3",
                         "--samples", "8", "--force"});
  }
}

TEST_F(TrainOnDevice, GoesOnWithARunOfTheOtherDevice) {
  const Args whole = {"blog", "--data", "d", "--steps", "12"};
  train_on("cpu", whole);
  for (const std::string first : {"cpu", "cuda"}) {
    const std::string second = first == "cpu" ? "cuda" : "cpu";
    const std::string out = first + "_first";
    ASSERT_EQ(train({"--out", out, "--steps", "5", "--device", first}).code, 0);
    const auto again = run({"train", "blog", "--out", out, "--resume", "--steps", "12", "--device",
                            second, "--progress", "off"});
    ASSERT_EQ(again.code, 0) << again.err;
    expect_same_weights("cpu", out);
  }
}

// Three products of TF32 numbers leave errors like those of float32, and Adam divides by small
// numbers: a weight may differ by a part of the learning rate.
TEST_F(TrainOnDevice, ByThreeProductsGivesNearlyTheWeightsOfFloat32) {
  const Args recipes[] = {
      {"blog", "--data", "d", "--steps", "12", "--force"},
      {"arithmetic", "--features", "8", "--layers", "1", "--heads", "1", "--batch-size", "2",
       "--samples", "8", "--minutes", "0", "--steps", "2", "--force"}};
  for (const Args& recipe : recipes) {
    SCOPED_TRACE(recipe[0]);
    train_on("cuda", recipe);
    const auto exact = weights("cuda");
    for (const auto& [math, bound] : {std::pair("tf32x3", 1e-4), {"tf32", 2e-2}}) {
      if (bound > 1e-4 && recipe[0] != "blog") continue;  // the other one takes long
      train_on("cuda", recipe, {"--math", math});
      double most = 0;
      for (const auto& [name, value] : weights("cuda")) {
        const float *a = value.data<float>(), *b = exact.at(name).data<float>();
        for (std::int64_t i = 0; i < value.numel(); ++i) {
          most = std::max(most, static_cast<double>(std::abs(a[i] - b[i])));
        }
      }
      EXPECT_GT(most, 0) << math;
      EXPECT_LT(most, bound) << math;
    }
  }
}

TEST_F(TrainOnDevice, KeepsTheMathOfARun) {
  const auto resume = [&](Args more) {
    Args args = {"train", "blog", "--out", "r", "--resume", "--progress", "off"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  };
  ASSERT_EQ(train({"--out", "r", "--steps", "2", "--device", "cuda", "--math", "tf32x3"}).code, 0);
  EXPECT_THAT(read("r/config.toml"), HasSubstr("math = 'tf32x3'"));
  EXPECT_EQ(resume({"--steps", "4"}).err, "maskgrad: changed from step 3 on: steps: 2 -> 4\n");
  expect_error(resume({"--steps", "6", "--device", "cpu"}), 2,
               "--math tf32x3 is for a GPU, and the device is cpu: give --device cuda, or --math "
               "float32");
  EXPECT_EQ(resume({"--steps", "6", "--device", "cpu", "--math", "float32"}).code, 0);
}

TEST_F(TrainOnDevice, RefusesMathThatTheRunHasNoUseFor) {
  expect_error(train({"--out", "r", "--math", "tf32"}), 2,
               "--math tf32 is for a GPU, and the device is cpu");
  expect_error(train({"--out", "r", "--device", "cuda", "--dtype", "float64", "--math", "tf32"}), 2,
               "--math tf32 multiplies float32, and --dtype is float64: give --math float32");
  expect_error(train({"--out", "r", "--math", "half"}), 2, "float32, tf32, tf32x3");
  EXPECT_FALSE(exists("r"));
}

}  // namespace
}  // namespace maskgrad
