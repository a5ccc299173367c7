// Commands that compute, with --device cuda: they print what they print on the CPU.
#include <map>
#include <regex>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
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
  EXPECT_THAT(run({"ops", "softmax"}).out, HasSubstr("devices   cpu, cuda in this build\n"));
  EXPECT_THAT(run({"ops", "true_counts"}).out, HasSubstr("devices   any (host)\n"));
  ASSERT_EQ(run({"ops", "--json", "ops.json"}).code, 0);
  std::map<std::string, int> counts;
  for (const auto& op : nlohmann::json::parse(read("ops.json"))) ++counts[op.at("devices")];
  EXPECT_GT(counts["cpu, cuda"], 50);
  EXPECT_EQ(counts["any (host)"], 2);
  EXPECT_EQ(counts["cpu"], 0);
}

TEST_F(CommandsOnDevice, RefuseABenchmarkThatRunsOnTheCpuAlone) {
  expect_error(run({"bench", "op-overhead", "--device", "cuda"}), 2,
               "bench: the benchmark op-overhead runs on the CPU alone: leave it out, or --device");
}

TEST_F(CommandsOnDevice, TakeTheCpuForABenchmarkOfTheCpuWhereTheDeviceIsChosen) {
  const auto result = run({"bench", "op-overhead", "--device", "auto", "--json", "b.json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, ContainsRegex("op_forward_ns +cpu( +[0-9.]+){3}\n"));
  EXPECT_EQ(nlohmann::json::parse(read("b.json")).at("device"), "cpu");
}

TEST_F(CommandsOnDevice, TellOfEachFigureWhereItWasTaken) {
  const Args small = {"bench",   "attention", "op-overhead", "--seq",  "2",
                      "--batch", "1",         "--heads",     "1",      "--dim",
                      "1",       "--device",  "auto",        "--json", "b.json"};
  const auto result = run(small);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, ContainsRegex("attention_none_s2_forward_ms +cuda( +[0-9.]+){3} "));
  EXPECT_THAT(result.out, ContainsRegex("op_forward_ns +cpu( +[0-9.]+){3}"));
  const auto json = nlohmann::json::parse(read("b.json"));
  EXPECT_EQ(json.at("device"), "cuda");
  EXPECT_EQ(json.at("on_cpu"), nlohmann::json({"op_forward_ns", "op_forward_backward_ns"}));
}

// Nothing is measured here, as the file cannot be written.
TEST_F(CommandsOnDevice, NameTheBenchmarksThatAreLeftOut) {
  const auto of_all = run({"bench", "--device", "cuda", "--json", "none/b.json"});
  EXPECT_EQ(of_all.code, 1);
  EXPECT_THAT(of_all.err,
              HasSubstr("maskgrad: left out, as they run on the CPU alone: transformer, "
                        "recurrent, mask-overhead, packing, kernels, elementwise, op-overhead\n"));
  for (const char* device : {"cpu", "auto"}) {
    expect_error(run({"bench", "--device", device, "--json", "none/b.json"}), 1, "cannot create");
  }
}

TEST_F(CommandsOnDevice, SayWhereARunComputes) {
  const auto device_line = [&](const std::string& device) {
    const auto result = run({"train", "blog", "--data", "d", "--steps", "1", "--force", "--device",
                             device, "--progress", "lines"});
    EXPECT_EQ(result.code, 0) << result.err;
    std::smatch line;
    return std::regex_search(result.err, line, std::regex("\ndevice: .*")) ? line.str() : "";
  };
  EXPECT_EQ(device_line("cuda"), "\ndevice: cuda (emulated)");
  EXPECT_EQ(device_line("auto"), "\ndevice: cuda (emulated)");
  EXPECT_EQ(device_line("cpu"), "\ndevice: cpu (--device auto takes a GPU where one works)");
}

TEST_F(CommandsOnDevice, WriteWhatMultipliesThereBesideFigures) {
  const auto result = run({"bench", "attention", "--seq", "2", "--batch", "1", "--heads", "1",
                           "--dim", "2", "--device", "cuda", "--json", "f.json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(read("f.json"), HasSubstr(R"("cublas": "cuBLAS 13.1.0")"));
  EXPECT_THAT(read("f.json"), HasSubstr(R"("math": "float32")"));
}

TEST_F(CommandsOnDevice, SayThatABenchmarkDoesNotFollowMath) {
  const auto with_math = [&](const char* math) {
    return run({"bench", "attention", "--seq", "2", "--batch", "1", "--heads", "1", "--dim", "2",
                "--device", "cuda", "--math", math});
  };
  EXPECT_THAT(with_math("tf32").err,
              HasSubstr("maskgrad: attention multiplies by float32, whatever --math says\n"));
  EXPECT_THAT(with_math("float32").err, Not(HasSubstr("--math")));
  EXPECT_THAT(run({"bench", "op-overhead", "--device", "auto", "--math", "tf32"}).err,
              HasSubstr("maskgrad: op-overhead runs on the CPU, whose products are float32, "
                        "whatever --math says\n"));
}

TEST_F(CommandsOnDevice, WriteBesideFiguresWhereTheyWereComputed) {
  ASSERT_EQ(train({"--out", "r", "--steps", "1"}).code, 0);
  const auto figures_on = [&](const char* device, const char* math) {
    const auto result =
        run({"eval", "r", "--data", "d", "--device", device, "--math", math, "--json", "f.json"});
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(read("f.json"));
  };
  const auto on_cuda = figures_on("cuda", "tf32"), on_cpu = figures_on("cpu", "float32");
  EXPECT_EQ(on_cuda.at("device"), "cuda");
  EXPECT_EQ(on_cuda.at("math"), "tf32");
  EXPECT_EQ(on_cpu.at("device"), "cpu");
  EXPECT_FALSE(on_cpu.contains("math"));
}

TEST_F(CommandsOnDevice, SayBeforeTheyComputeThatTf32IsForFloat32) {
  ASSERT_EQ(train({"--out", "r", "--steps", "1", "--dtype", "float64"}).code, 0);
  for (Args args : {Args{"eval", "r"}, {"predict", "r", "x=1,y=2:x+y"}}) {
    args.insert(args.end(), {"--device", "cuda", "--math", "tf32"});
    expect_error(run(args), 2,
                 "--math tf32 multiplies float32, and the run's dtype is float64: give --math "
                 "float32");
  }
}

// By tf32, answers of a small model stay, and its loss has other digits.
TEST_F(CommandsOnDevice, MultiplyAsTheyAreTold) {
  ASSERT_EQ(train({"--out", "r", "--steps", "20"}).code, 0);
  const Args predict = {"predict", "r", "x=1,y=2:x+y"},
             eval = {"eval", "r", "--data", "d", "--batch-size", "20"};
  const auto with_math = [](Args args, const char* math) {
    args.insert(args.end(), {"--math", math});
    return args;
  };
  for (const char* math : {"tf32", "tf32x3"}) {
    EXPECT_EQ(output_on("cuda", with_math(predict, math)), output_on("cuda", predict));
    expect_error(run(with_math(predict, math)), 2,
                 fmt::format("--math {} is for a GPU, and the device is cpu: give --device cuda, "
                             "or --math float32",
                             math));
  }
  EXPECT_NE(output_on("cuda", with_math(eval, "tf32")), output_on("cuda", eval));
  EXPECT_EQ(output_on("cuda", with_math(eval, "float32")), output_on("cuda", eval));
  EXPECT_EQ(output_on("cpu", with_math(eval, "float32")), output_on("cuda", eval));
  expect_error(run(with_math(eval, "half")), 2,
               "--math must be one of float32, tf32, tf32x3, not 'half'");
}

}  // namespace
}  // namespace maskgrad
