// Every registered operation is complete, and does what its description says.
#include <map>

#include <gmock/gmock.h>

#include "ops/registered.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::call_of;
using test::run_both_ways;

class Registered : public test::EachOp {};
INSTANTIATE_TEST_SUITE_P(Op, Registered, ::testing::ValuesIn(test::op_names()), test::op_test_name);

TEST(Registry, KnowsTheOperationsOfEveryFamily) {
  for (const char* name : {"add", "relu", "matmul", "sum", "reshape", "softmax", "embedding",
                           "cross_entropy", "keep_where"}) {
    EXPECT_TRUE(registry().contains(name)) << name;
  }
}

TEST_P(Registered, IsDescribedInFull) {
  EXPECT_EQ(op().name, GetParam());
  EXPECT_FALSE(op().summary.empty());
  EXPECT_EQ(op().summary.find('\n'), std::string::npos);
  EXPECT_TRUE(op().call);
  EXPECT_FALSE(op().outputs.empty());
  EXPECT_NE(op().mask_rule, MaskRule::kUnset);
  EXPECT_FALSE(op().inputs.empty());
  for (const InputSpec& input : op().inputs) {
    EXPECT_FALSE(input.name.empty());
    EXPECT_NE(input.reach, Reach::kUnset) << input.name;
    EXPECT_TRUE(!input.differentiable || input.dtypes == DTypes::kFloating ||
                input.dtypes == DTypes::kAny)
        << input.name;
  }
}

TEST_P(Registered, HasSamplesThatRun) {
  ASSERT_TRUE(op().samples);
  ASSERT_FALSE(samples().empty());
  for (const OpSample& sample : samples()) {
    for (const auto& [name, input] : sample.inputs) EXPECT_NE(input.dtype(), DType::kFloat32);
    const std::size_t count = run_op(op(), call_of(op(), sample)).size();
    EXPECT_TRUE(op().repeats_outputs || count == op().outputs.size()) << count;
  }
}

TEST_P(Registered, DoesWhatItsDescriptionSays) {
  EXPECT_THAT(check_op(op()), ::testing::IsEmpty());
}

TEST_P(Registered, GivesTheSameInFloat32UpToRounding) {
  for (const OpSample& sample : samples()) {
    const auto wide = run_both_ways(op(), call_of(op(), sample));
    const auto narrow = run_both_ways(op(), call_of(op(), sample, DType::kFloat32));
    for (std::size_t i = 0; i < wide.outputs.size(); ++i) {
      const Tensor &w = wide.outputs[i].value(), &n = narrow.outputs[i].value();
      EXPECT_EQ(n.dtype(), w.dtype() == DType::kFloat64 ? DType::kFloat32 : w.dtype());
      EXPECT_EQ(n.shape(), w.shape());
      EXPECT_TRUE(test::is_close(n, test::to_doubles(w), 2e-5));
    }
    for (std::size_t i = 0; i < wide.grads.size(); ++i) {
      EXPECT_EQ(narrow.grads[i].dtype(), DType::kFloat32);
      EXPECT_TRUE(test::is_close(narrow.grads[i], test::to_doubles(wide.grads[i]), 1e-4));
    }
  }
}

TEST_P(Registered, GivesTheSameBitsAgainAndOnAnyNumberOfThreads) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const OpSample& sample : samples()) {
      const auto once = run_both_ways(op(), call_of(op(), sample, dtype));
      EXPECT_TRUE(same_bits(run_both_ways(op(), call_of(op(), sample, dtype)), once));
      const test::WithThreads three(3);
      EXPECT_TRUE(same_bits(run_both_ways(op(), call_of(op(), sample, dtype)), once));
    }
  }
}

TEST_P(Registered, LeavesItsInputsAsTheyWere) {
  for (const OpSample& sample : samples()) {
    const OpCall call = call_of(op(), sample);
    run_both_ways(op(), call);
    for (const auto& [name, input] : call.inputs) {
      EXPECT_TRUE(test::same_bits(input.value(), sample.inputs.at(name))) << name;
    }
  }
}

void change(Tensor x, std::int64_t i) {
  if (x.dtype() == DType::kBool) {
    x.data<bool>()[i] = !x.data<bool>()[i];
  } else if (x.dtype() == DType::kFloat64) {
    x.data<double>()[i] += 10;
  }
}

TEST_P(Registered, DependsOnEachOfItsInputs) {
  std::map<std::string, int> changes;
  for (const OpSample& sample : samples()) {
    const OpCall call = call_of(op(), sample);
    const Tensor y = run_op(op(), call).front().value().clone();
    for (const auto& [name, input] : call.inputs) {
      const std::string& spec = op().find_input(name)->name;
      Tensor x = input.value();
      for (std::int64_t i = 0; i < x.numel() && changes[spec] == 0; ++i) {
        change(x, i);
        try {
          changes[spec] += !is_identical(run_op(op(), call).front().value(), y);
        } catch (const Error&) {
          ++changes[spec];  // another mask may not fit the values
        }
        x.copy_from(sample.inputs.at(name));
      }
    }
  }
  for (const InputSpec& spec : op().inputs) {
    EXPECT_TRUE(spec.dtypes == DTypes::kInteger || changes[spec.name] > 0)
        << spec.name << " has no effect";
  }
}

}  // namespace
}  // namespace maskgrad
