// maskgrad ops and run-op.
#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/cli.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::make;
using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class Ops : public test::CliTest {};

TEST_F(Ops, ListsEveryRegisteredOperation) {
  const auto result = run({"ops"});
  EXPECT_EQ(result.code, 0);
  for (const auto& [name, op] : registry()) {
    EXPECT_THAT(result.out, ContainsRegex("\n" + name + " +" + op.inputs.front().name));
  }
}

// To a pipe an operation has one line, at a terminal as many as fit it.
TEST_F(Ops, ListsThemWithinTheWidthOfATerminal) {
  if (!test::has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
  const std::string piped = run({"ops"}).out;
  EXPECT_EQ(std::count(piped.begin(), piped.end(), '\n'), std::ssize(registry()) + 2);
  for (const int columns : {1, 40, 80, 120, 160, 300}) {
    const auto result = run({"ops"}, {.terminal_columns = columns});
    EXPECT_EQ(result.code, 0);
    std::istringstream lines(result.out);
    std::set<std::string> begins;
    for (std::string line; std::getline(lines, line);) {
      const bool has_room = columns > 30;  // for the longest name
      EXPECT_TRUE(!has_room || line.size() <= static_cast<std::size_t>(columns) + 1) << line;
      begins.insert(line.substr(0, line.find_first_of(" \r")));
    }
    for (const auto& [name, op] : registry()) EXPECT_TRUE(begins.contains(name)) << name;
    const bool has_columns = result.out.find("--  --") != std::string::npos;
    EXPECT_EQ(has_columns, columns >= 120) << columns;
  }
  const auto wide = run({"ops"}, {.terminal_columns = 300}).out;
  EXPECT_EQ(std::count(wide.begin(), wide.end(), '\n'), std::ssize(registry()) + 2);
}

TEST_F(Ops, FindsThemByAPartOfTheirName) {
  const auto result = run({"ops", "soft"});
  EXPECT_EQ(result.code, 0);
  for (const auto& [name, op] : registry()) {
    const bool fits = name.find("soft") != std::string::npos;
    EXPECT_EQ(result.out.find("\n" + name + " ") != std::string::npos, fits) << name;
  }
  EXPECT_EQ(run({"ops", "SOFT"}).out, result.out);
  EXPECT_EQ(run({"ops", "gelu_t"}).out, run({"ops", "gelu_tanh"}).out) << "only one";
  const auto one = run({"ops", "softmax"});
  EXPECT_THAT(one.out, HasSubstr("softmax: "));
  EXPECT_THAT(one.out, ContainsRegex("  see also  log_softmax, .*masked_softmax"));
  expect_error(run({"ops", "soft", "--sample", "x"}), 2,
               "usage: --sample needs one operation, and 'soft' finds log_softmax, ");
  expect_error(run({"ops", "sofd", "--sample", "x"}), 2, "ops: there is no operation 'sofd'");
  EXPECT_FALSE(exists("x"));
  EXPECT_THAT(run({"ops", "gelu_t", "--sample", "x"}).out,
              HasSubstr("try: maskgrad run-op gelu_tanh --in x "));
}

TEST_F(Ops, FindsThemByTheirSummaryWhereNoNameFits) {
  const auto result = run({"ops", "rotat"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("rotary_embedding"));
}

TEST_F(Ops, DescribesOne) {
  const auto result = run({"ops", "matmul"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("input     a            float32, float64, has a gradient\n"));
  EXPECT_THAT(result.out, HasSubstr("argument  transpose_b  false by default\n"));
}

TEST_F(Ops, DescribesAllAsJson) {
  ASSERT_EQ(run({"ops", "--json", "ops.json"}).code, 0);
  std::ifstream file(path("ops.json"));
  const auto all = nlohmann::json::parse(file);
  ASSERT_EQ(all.size(), registry().size());
  std::size_t i = 0;
  for (const auto& [name, op] : registry()) {
    const auto& json = all[i++];
    EXPECT_EQ(json["name"], name);
    EXPECT_EQ(json["summary"], op.summary);
    EXPECT_EQ(json["inputs"].size(), op.inputs.size()) << name;
    EXPECT_EQ(json["arguments"].size(), op.args.size()) << name;
    EXPECT_EQ(json["outputs"], nlohmann::json(op.outputs)) << name;
    EXPECT_THAT(json["devices"].get<std::string>(), AnyOf("cpu", "cpu, cuda", "any (host)"));
    if (name != "matmul") continue;
    EXPECT_EQ(json["mask"], "keeps");
    EXPECT_EQ(json["inputs"][0]["gradient_reads"], nlohmann::json({"b"}));
    EXPECT_EQ(json["arguments"][1],
              nlohmann::json({{"name", "transpose_b"}, {"type", "bool"}, {"default", "false"}}));
  }
  expect_error(run({"ops", "matmul", "--json", "x"}), 2, "--json describes all operations");
  expect_error(run({"ops", "--json", "none/x"}), 1, "cannot create 'none/x': ");
}

TEST_F(Ops, RunsEveryOperationOnItsOwnSample) {
  for (const auto& [name, op] : registry()) {
    const auto sample = run({"ops", name, "--sample", "in.safetensors"});
    ASSERT_EQ(sample.code, 0) << sample.err;
    // "try: maskgrad run-op relu --in in.safetensors --out FILE --arg a=b"
    std::istringstream words(sample.out);
    std::vector<std::string> args{std::istream_iterator<std::string>(words), {}};
    ASSERT_GT(args.size(), 6U);
    args.erase(args.begin(), args.begin() + 2);
    std::replace(args.begin(), args.end(), std::string("FILE"), std::string("out.safetensors"));
    const auto result = run(args);
    EXPECT_EQ(result.code, 0) << name << ": " << result.err;
    const std::size_t count = load_tensors(path("out.safetensors")).size();
    EXPECT_TRUE(op.repeats_outputs || count == op.outputs.size()) << name << ": " << count;
  }
}

TEST_F(Ops, RunsAnOperationAndItsGradient) {
  save_tensors(path("in.safetensors"), {{"a", make({1, 2, 3, 4}, {2, 2})},
                                        {"b", make({5, 6, 7, 8}, {2, 2})},
                                        {"grad_output", make({1, 0, 0, 1}, {2, 2})}});
  const auto result = run({"run-op", "matmul", "--in", "in.safetensors", "--out", "out.safetensors",
                           "--arg", "transpose_b=true", "--grad"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  const auto outputs = load_tensors(path("out.safetensors"));
  ASSERT_EQ(outputs.size(), 3U);
  EXPECT_TRUE(is_close(outputs.at("output"), {17, 23, 39, 53}));
  EXPECT_TRUE(is_close(outputs.at("grad_a"), {5, 6, 7, 8}));
  EXPECT_TRUE(is_close(outputs.at("grad_b"), {1, 2, 3, 4}));
}

TEST_F(Ops, RefusesWhatDoesNotFitTheOperation) {
  save_tensors(path("in.safetensors"), {{"a", make({1, 2}, {1, 2})}, {"b", make({1, 2}, {1, 2})}});
  const auto matmul = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"run-op", "matmul", "--in", "in.safetensors", "--out", "out.safetensors"});
    return run(more);
  };
  expect_error(matmul({}), 1, "matmul: ");
  expect_error(matmul({"--grad"}), 1, "--grad needs 'grad_output' in 'in.safetensors'");
  expect_error(matmul({"--arg", "transpose=true"}), 2, "did you mean 'transpose_a'?");
  expect_error(matmul({"--arg", "bias=1"}), 2, "no argument 'bias'; see maskgrad ops matmul");
  expect_error(matmul({"--arg", "transpose_a"}), 2, "'--arg transpose_a' is not name=value");
  expect_error(matmul({"--arg", "transpose_a=1"}), 2, "must be true or false, not '1'");
  expect_error(matmul({"--device", "gpu"}), 2,
               "--device must be one of cpu, auto, cuda, not 'gpu'");
  expect_error(run({"run-op", "relu", "--in", "in.safetensors", "--out", "o"}), 1,
               "relu: input 'input' is missing");
  expect_error(run({"run-op", "relu", "--in", "none", "--out", "o"}), 1, "cannot open 'none'");
  EXPECT_FALSE(exists("out.safetensors"));
}

TEST_F(Ops, GivesANumberToTheValuesExactlyOrRefusesIt) {
  const auto fill = [&](DType dtype, const std::string& text) {
    save_tensors(path("in.safetensors"),
                 {{"input", Tensor::zeros({1}, dtype)}, {"mask", test::bits({0}, {1})}});
    return run({"run-op", "keep_where", "--in", "in.safetensors", "--out", "out.safetensors",
                "--arg", "fill=" + text});
  };
  const auto filled = [&](DType dtype, const std::string& text) {
    const auto result = fill(dtype, text);
    EXPECT_EQ(result.code, 0) << result.err;
    return load_tensors(path("out.safetensors")).at("output");
  };
  for (const std::int64_t n : {9007199254740993, std::numeric_limits<std::int64_t>::min(),
                               std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(filled(DType::kInt64, std::to_string(n)).item<std::int64_t>(), n);
  }
  EXPECT_EQ(filled(DType::kInt64, "1e3").item(), 1000);
  EXPECT_EQ(filled(DType::kBool, "true").item(), 1);
  EXPECT_EQ(filled(DType::kFloat32, "-inf").item(), -test::kInf);
  EXPECT_TRUE(std::isnan(filled(DType::kFloat64, "nan").item()));
  expect_error(fill(DType::kFloat32, "-1e39"), 1, "keep_where: fill -1e+39 is no float32");
  expect_error(fill(DType::kFloat64, "9007199254740993"), 1,
               "keep_where: fill 9007199254740993 is no float64");
  expect_error(fill(DType::kInt64, "9223372036854775808"), 1,
               "keep_where: fill 9223372036854775808 is no int64");
  expect_error(fill(DType::kInt64, "18446744073709551616"), 2,
               "keep_where: argument 'fill' must be a number, not '18446744073709551616'");
  expect_error(fill(DType::kFloat32, "none"), 2, "argument 'fill' must be a number, not 'none'");
}

TEST_F(Ops, TakesNoneForAnArgumentThatMayBeLeftOutAndNothingElse) {
  const Tensor x = make({1, 2}, {1, 1, 2});
  save_tensors(path("in.safetensors"), {{"q", x}, {"k", x}, {"v", x}});
  const auto scale = [&](const std::string& text) {
    return run({"run-op", "scaled_dot_product_attention", "--in", "in.safetensors", "--out", "o",
                "--arg", "scale=" + text});
  };
  EXPECT_EQ(scale("none").code, 0);
  EXPECT_EQ(scale("2").code, 0);
  expect_error(scale("nan"), 2, "argument 'scale' must be a number or none, not 'nan'");
  expect_error(scale("true"), 2, "argument 'scale' must be a number or none, not 'true'");
  expect_error(scale("9007199254740993"), 2, "argument 'scale': 9007199254740993 is no float64");
}

TEST_F(Ops, RefusesLengthsWhoseSumDoesNotFit) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  save_tensors(
      path("in.safetensors"),
      {{"data", make({1}, {1})}, {"lengths", Tensor::from({kMost, kMost, std::int64_t{3}}, {3})}});
  expect_error(run({"run-op", "reverse_segment_order", "--in", "in.safetensors", "--out", "o"}), 1,
               "reverse_segment_order: the sum of the lengths: ");
}

TEST_F(Ops, LeavesNoOutputWhereItCannotBeWritten) {
  ASSERT_EQ(run({"ops", "relu", "--sample", "in.safetensors"}).code, 0);
  expect_error(run({"run-op", "relu", "--in", "in.safetensors", "--out", "none/o"}), 1,
               "cannot create 'none/o': ");
}

}  // namespace
}  // namespace maskgrad
