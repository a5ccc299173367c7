// Memory that the system refuses: one line, code 1, and never a program that hangs.
#include <fmt/format.h>

#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/cli.hpp"
#include "support/limited_memory.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
class Memory : public test::CliTest {
 protected:
  void SetUp() override {
    if (!test::kCanLimitMemory) GTEST_SKIP() << "a sanitizer needs all the memory";
    CliTest::SetUp();
  }
};
constexpr std::size_t kMiB = 1 << 20;

// A product that OpenBLAS is asked for.
TEST_F(Memory, ThatALargeProductCannotHaveIsAnError) {
  const Tensor ones = Tensor::full({1024, 1024}, 1, DType::kFloat32);
  save_tensors(path("in.safetensors"), {{"a", ones}, {"b", ones}});
  const std::vector<std::string> args = {"run-op",         "matmul", "--in",
                                         "in.safetensors", "--out",  "out.safetensors"};
  for (const std::size_t limit : {40U, 60U, 80U, 120U, 160U, 180U}) {
    const auto result = run(args, {.memory_limit = limit * kMiB});
    expect_error(result, 1, "m");
    EXPECT_FALSE(exists("out.safetensors")) << limit;
  }
  EXPECT_EQ(run(args, {.memory_limit = 600 * kMiB}).code, 0);
  EXPECT_EQ(load_tensors(path("out.safetensors")).at("output").values<float>()[1 << 19], 1024);
}

TEST_F(Memory, IsHardlyNeededToSayWhatTheProgramIs) {
  for (const std::size_t limit : {40U, 80U, 160U}) {
    EXPECT_EQ(run({"--version"}, {.memory_limit = limit * kMiB}).code, 0) << limit;
  }
}

// Wherever it is refused: what was saved by then can be gone on with, and else nothing is left.
TEST_F(Memory, ThatARunCannotHaveIsAnErrorAndLosesNothing) {
  constexpr std::size_t kStep = kMiB / 4;
  std::size_t limit = 10 * kMiB;
  while (run({"--version"}, {.memory_limit = limit}).code != 0) limit += kStep;
  ASSERT_EQ(train({"--out", "whole", "--steps", "50"}).code, 0);
  int failed = 0;
  for (;; limit += kStep) {
    const auto result = train({"--out", "r", "--steps", "50"}, {.memory_limit = limit});
    if (result.code == 0) break;
    ++failed;
    ASSERT_EQ(result.code, 1) << limit << ": " << result.err;
    ASSERT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    if (!exists("r")) continue;
    EXPECT_THAT(result.err, HasSubstr("go on with: maskgrad train blog --out r --resume"));
    ASSERT_EQ(run({"train", "blog", "--out", "r", "--resume", "--progress", "off"}).code, 0);
    ASSERT_EQ(read("r/model.safetensors"), read("whole/model.safetensors")) << limit;
    std::filesystem::remove_all(path("r"));
  }
  EXPECT_GT(failed, 3);
}

}  // namespace
}  // namespace maskgrad
