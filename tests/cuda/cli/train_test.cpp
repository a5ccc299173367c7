// maskgrad train --device cuda: recipes end with the weights that they have on the CPU, and a run
// goes on where it was not begun. The recipe distractors is left out, as its figures take a minute.
#include <map>
#include <regex>

#include <fmt/format.h>

#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

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
  std::filesystem::create_directories(path("t"));
  std::string text;
  for (int i = 0; i < 40; ++i) text += "one two three\n";
  write("t/a", text);
  write("t/b", text + "four\n");
  expect_same_on_both({"text", "--data", "t", "--features", "8", "--layers", "1", "--heads", "2",
                       "--context", "16", "--minutes", "0", "--steps", "3"});
}

// All but the first, and one for each size of batches.
TEST_F(TrainOnDevice, ReplaysTheStepsOfARun) {
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

}  // namespace
}  // namespace maskgrad
