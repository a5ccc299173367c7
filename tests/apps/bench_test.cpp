// maskgrad bench.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <maskgrad/tensor/cpu/instructions.hpp>

#include "support/cli.hpp"

namespace maskgrad {
namespace {

using ::testing::ContainsRegex;
using ::testing::StartsWith;

class Bench : public test::CliTest {};

TEST_F(Bench, NamesABadFileBeforeItMeasures) {
  expect_error(run({"bench", "op-overhead", "--json", "none/b.json"}), 1,
               "cannot create 'none/b.json': ");
}

TEST_F(Bench, WritesItsMediansByName) {
  const auto result = run({"bench", "op-overhead", "--json", "b.json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, StartsWith("benchmark op-overhead\n"));
  EXPECT_THAT(result.out, ContainsRegex("op_forward_ns +cpu +[0-9.]+ +[0-9.]+ +[0-9.]+\n"));
  EXPECT_THAT(read("b.json"), ContainsRegex("\"op_forward_ns\": [0-9.]+,\n"));
}

TEST_F(Bench, TellsTheRateOfEachKernelBesideWhatBoundsIt) {
  const auto result = run({"bench", "kernels", "--json", "b.json"});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* line : {"multiply_adds_us +cpu( +[0-9.]+){3} +[0-9.e+]+ GFLOP/s\n",
                           "stream_384k_us +cpu( +[0-9.]+){3} +[0-9.e+]+ GB/s\n",
                           "product_100x150_150x300_t_us +cpu( +[0-9.]+){3} +[0-9.e+]+ GFLOP/s\n",
                           "adam_49152_us +cpu( +[0-9.]+){3} +[0-9.e+]+ GB/s\n",
                           "cross_entropy_100x20_forward_backward_us +cpu( +[0-9.]+){3}\n"}) {
    EXPECT_THAT(result.out, ContainsRegex(line));
  }
  const auto json = nlohmann::json::parse(read("b.json"));
  EXPECT_GT(json.at("product_512x512_512x512_us").get<double>(), 0);
}

TEST_F(Bench, TimesTransformersInTrainingAndInGeneration) {
  const auto result = run({"bench", "transformer", "--width", "32", "--json", "b.json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(read("b.json"));
  const auto figure = [&](const char* name) { return json.at(name).get<double>(); };
  for (const char* line :
       {"multiply_adds_us +cpu( +[0-9.]+){3} +[0-9.e+]+ GFLOP/s\n",
        "transformer_w32_full_step_us +cpu( +[0-9.]+){3} +[0-9.e+]+ GFLOP/s\n",
        "weights_w32_read_us +cpu( +[0-9.]+){3} +[0-9.e+]+ GB/s\n",
        "generate_w32_us_per_token +cpu( +[0-9.]+){3} +[0-9.e+]+ GFLOP/s\n",
        "generate_w32_b64_us_per_token +cpu( +[0-9.]+){3} +[0-9.e+]+ GFLOP/s\n"}) {
    EXPECT_THAT(result.out, ContainsRegex(line));
  }
  // 32 rows of 48 tokens, or of 16 to 48, and the products of one layer of width 32.
  const double products = 12 * 32 * 32 + 32 * 20, pairs = 48 * 49 / 2;
  const double flop = 3 * 2 * 32 * (48 * products + pairs * 2 * 32);
  const double seconds = 1e-6 * figure("transformer_w32_full_step_us");
  EXPECT_NEAR(figure("transformer_w32_full_tokens_per_s") * seconds, 32 * 48, 1e-6 * 32 * 48);
  EXPECT_NEAR(figure("transformer_w32_full_gflop_per_s") * seconds, 1e-9 * flop, 1e-15 * flop);
  const double mixed = 1e-6 * figure("transformer_w32_mixed_step_us");
  EXPECT_NEAR(figure("transformer_w32_mixed_tokens_per_s") * mixed, 32 * 32, 1e-6 * 32 * 32);
#if !defined(__SANITIZE_ADDRESS__)  // then the pool keeps no blocks, and counts none
  // The values that the backward pass needs: nine or more for each feature of a position.
  EXPECT_GT(figure("transformer_w32_full_peak_mb"), 1e-6 * 32 * 48 * 32 * 9 * sizeof(float));
#endif
}

TEST_F(Bench, TimesRecurrentNetworksOnFullAndOnMixedRows) {
  const auto result = run({"bench", "recurrent", "--json", "b.json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(read("b.json"));
  for (const char* subject : {"lstm_full", "lstm_mixed", "gru_full", "gru_mixed"}) {
    const auto figure = [&](const char* quantity) {
      return json.at(fmt::format("{}_{}_ms", subject, quantity)).get<double>();
    };
    EXPECT_GT(figure("forward"), 0);
    EXPECT_GT(figure("forward_backward"), figure("forward"));
  }
}

TEST_F(Bench, RefusesWidthsThatAreNoWholeHeads) {
  for (const char* width : {"0", "48", "8192"}) {
    expect_error(run({"bench", "transformer", "--width", width}), 2,
                 fmt::format("--width must be a multiple of 32 from 32 to 4096, not {}", width));
  }
}

const char* const kMasks[] = {"none", "causal", "padding", "window", "causal_padding", "segments"};

TEST_F(Bench, TimesAttentionUnderSixMasksAtEachLengthAsked) {
  const auto result = run({"bench", "attention", "--seq", "8", "16", "--batch", "2", "--heads", "1",
                           "--dim", "3", "--json", "b.json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(read("b.json"));
  EXPECT_EQ(json.size(), 2 * 6 * 3 + 2);  // and the device and the machine
  for (const char* mask : kMasks) {
    for (const int length : {8, 16}) {
      const std::string subject = fmt::format("attention_{}_s{}", mask, length);
      EXPECT_GT(json.at(subject + "_forward_ms").get<double>(), 0);
      EXPECT_GT(json.at(subject + "_forward_backward_ms").get<double>(), 0);
      EXPECT_THAT(result.out,
                  ContainsRegex(subject + "_forward_ms +cpu( +[0-9.]+){3} +[01]\\.[0-9]{3}\n"));
    }
  }
}

TEST_F(Bench, TellsWhichShareOfThePairsEachMaskKeeps) {
  ASSERT_EQ(run({"bench", "attention", "--seq", "8", "256", "--batch", "3", "--heads", "1", "--dim",
                 "1", "--json", "b.json"})
                .code,
            0);
  const auto json = nlohmann::json::parse(read("b.json"));
  const auto share = [&](const char* mask, int length) {
    return json.at(fmt::format("attention_{}_s{}_kept_share", mask, length)).get<double>();
  };
  EXPECT_EQ(share("none", 256), 1);
  EXPECT_DOUBLE_EQ(share("causal", 256), 257.0 / 512);
  EXPECT_DOUBLE_EQ(share("padding", 256), (32 + 144 + 256) / (3 * 256.0));
  EXPECT_DOUBLE_EQ(share("window", 256), (256 * 129 - 64 * 65) / (256.0 * 256));
  EXPECT_DOUBLE_EQ(share("segments", 256), 129.0 / 512);
  // Lengths 1, 4 (4.5, to the even one) and 8: a row i of them sees min(i + 1, length) keys.
  EXPECT_DOUBLE_EQ(share("causal_padding", 8), (8 + (1 + 2 + 3 + 5 * 4) + 36) / (3 * 64.0));
}

TEST_F(Bench, RefusesSizesThatAreNoneBeforeItMeasures) {
  const auto attention = [&](const char* flag, const char* value) {
    return run({"bench", "attention", flag, value});
  };
  expect_error(attention("--seq", "0"), 2, "--seq must be 1 to 65536, not 0");
  expect_error(attention("--seq", "x"), 2, "--seq must be a whole number, not 'x'");
  expect_error(attention("--seq", "99999999999999999999"), 2, "--seq must be a whole number");
  expect_error(attention("--batch", "-1"), 2, "--batch must be 1 to 65536, not -1");
  expect_error(attention("--heads", "0"), 2, "--heads must be 1 to 65536, not 0");
  expect_error(attention("--dim", "65537"), 2, "--dim must be 1 to 65536, not 65537");
  expect_error(run({"bench", "attention", "--seq"}), 2, "--seq needs a value");
  const std::string most = "65536";
  expect_error(
      run({"bench", "attention", "--seq", most, "--batch", most, "--heads", most, "--dim", most}),
      2, "bench: elements of an input: 4294967296 * 4294967296 does not fit 64 bits");
}

TEST_F(Bench, SaysWhatTheFiguresWereTakenOn) {
  ASSERT_EQ(run({"bench", "op-overhead", "--threads", "2", "--json", "b.json"}).code, 0);
  const auto machine = nlohmann::json::parse(read("b.json")).at("machine");
  EXPECT_EQ(machine.at("threads"), 2);
  EXPECT_THAT(machine.at("compiler").get<std::string>(), ContainsRegex("^(GCC|Clang) [0-9]+\\."));
  EXPECT_TRUE(machine.at("native").is_boolean());
  EXPECT_EQ(machine.at("instructions"), instruction_set());
  EXPECT_TRUE(machine.at("processor").is_string());
  EXPECT_THAT(machine.at("blas").get<std::string>(),
              ContainsRegex("^$|^OpenBLAS [0-9.]+, kernels"));
}

}  // namespace
}  // namespace maskgrad
