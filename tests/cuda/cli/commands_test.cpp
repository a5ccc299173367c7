// Commands that compute, with --device cuda: they print what they print on the CPU.
#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::HasSubstr;
using Args = std::vector<std::string>;

class CommandsOnDevice : public test::CliTest {
 protected:
  std::string output_on(const std::string& device, Args args) {
    args.insert(args.end(), {"--device", device});
    const test::CliResult result = run(args);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  }
  void expect_same(const Args& args) {
    const std::string on_cpu = output_on("cpu", args);
    EXPECT_NE(on_cpu, "") << args[0];
    EXPECT_EQ(output_on("cuda", args), on_cpu) << args[0];
    EXPECT_EQ(output_on("auto", args), on_cpu) << args[0];
  }
};

TEST_F(CommandsOnDevice, PrintWhatTheyPrintOnTheCpu) {
  ASSERT_EQ(train({"--out", "r", "--steps", "20"}).code, 0);
  expect_same({"eval", "r", "--data", "d", "--batch-size", "20"});
  expect_same({"predict", "r", "x=1,y=2:x+y", "--probabilities"});
  expect_same({"explain", "r", "x=1,y=2:x+y"});
  expect_same({"check", "r", "--elements", "1", "--samples", "2"});
}

TEST_F(CommandsOnDevice, WriteTheTextThatTheyWriteOnTheCpu) {
  std::filesystem::create_directories(path("t"));
  std::string text;
  for (int i = 0; i < 40; ++i) text += "one two three\n";
  write("t/a", text);
  write("t/b", text + "four\n");
  const auto trained =
      run({"train",     "text",     "--data",  "t",       "--out",      "r",         "--features",
           "8",         "--layers", "1",       "--heads", "2",          "--context", "16",
           "--minutes", "0",        "--steps", "3",       "--progress", "off"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  expect_same({"generate", "r", "one", "--tokens", "12"});
}

TEST_F(CommandsOnDevice, RunAnOperationThere) {
  ASSERT_EQ(run({"ops", "softmax", "--sample", "x.safetensors"}).code, 0);
  for (const std::string device : {"cpu", "cuda"}) {
    const auto result = run({"run-op", "softmax", "--in", "x.safetensors", "--out",
                             device + ".safetensors", "--device", device});
    ASSERT_EQ(result.code, 0) << result.err;
  }
  EXPECT_EQ(read("cuda.safetensors"), read("cpu.safetensors"));
}

TEST_F(CommandsOnDevice, TellOperationsWithKernels) {
  EXPECT_THAT(run({"ops", "softmax"}).out, HasSubstr("devices   cpu, cuda"));
}

TEST_F(CommandsOnDevice, RefuseABenchmarkThatRunsOnTheCpuAlone) {
  expect_error(run({"bench", "op-overhead", "--device", "cuda"}), 2,
               "bench: the benchmark op-overhead runs on the CPU alone: leave out --device");
}

}  // namespace
}  // namespace maskgrad
