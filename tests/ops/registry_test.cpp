// Every registered operation is complete, and does what its description says.
#include <map>

#include "ops/registered.hpp"
#include "support/gradient_check.hpp"
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
    EXPECT_EQ(run_op(op(), call_of(op(), sample)).size(), op().outputs.size());
  }
}

TEST_P(Registered, HasTheGradientThatDifferencesGive) {
  int checked = 0;
  for (const OpSample& sample : samples()) {
    const OpCall call = call_of(op(), sample);
    std::vector<test::NamedLeaf> leaves;
    for (const auto& [name, input] : call.inputs) {
      if (input.requires_grad()) leaves.push_back({name, input});
    }
    EXPECT_EQ(!leaves.empty(), op().has_gradient());
    for (std::size_t i = 0; i < op().outputs.size() && !leaves.empty(); ++i) {
      const auto f = [&] { return run_op(op(), call)[i]; };
      if (!is_floating(f().dtype())) continue;
      EXPECT_TRUE(test::gradients_agree(f, leaves)) << op().outputs[i] << ", sample " << checked;
      ++checked;
    }
  }
  EXPECT_EQ(checked > 0, op().has_gradient());
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

// The element of a value of shape `from` that stands at element i of `to` under broadcasting.
std::int64_t aligned(std::int64_t i, const Shape& from, const Shape& to) {
  std::int64_t place = 0, step = 1;
  for (int axis = 1; axis <= from.rank(); ++axis) {
    const std::int64_t index = i % to.dim(-axis);
    i /= to.dim(-axis);
    place += from.dim(-axis) == 1 ? 0 : index * step;
    step *= from.dim(-axis);
  }
  return place;
}

bool may_depend(Reach reach, const Shape& output, std::int64_t o, const Shape& input,
                std::int64_t i) {
  if (reach == Reach::kElement) return aligned(o, input, output) == i;
  if (reach != Reach::kLastAxis) return true;
  const int last = input.rank() - 1;
  return aligned(o / output.dim(-1), input.slice(0, std::max(0, last)),
                 output.slice(0, output.rank() - 1)) == i / (last < 0 ? 1 : input[last]);
}

void change(Tensor x, std::int64_t i) {
  if (x.dtype() == DType::kBool) {
    x.data<bool>()[i] = !x.data<bool>()[i];
  } else {
    x.data<double>()[i] += 10;
  }
}

TEST_P(Registered, ReachesNoFurtherThanItSays) {
  std::map<std::string, std::int64_t> changes;
  for (const OpSample& sample : samples()) {
    const OpCall call = call_of(op(), sample);
    const Tensor y = run_op(op(), call).front().value().clone();
    for (const InputSpec& spec : op().inputs) {
      Tensor x = call.inputs.at(spec.name).value();
      if (x.dtype() != DType::kFloat64 && x.dtype() != DType::kBool) continue;
      for (std::int64_t i = 0; i < x.numel(); ++i) {
        change(x, i);
        const Tensor z = run_op(op(), call).front().value().clone();
        x.copy_from(sample.inputs.at(spec.name));
        for (std::int64_t o = 0; o < y.numel(); ++o) {
          if (is_identical(y.view(o, {}), z.view(o, {}))) continue;
          ++changes[spec.name];
          EXPECT_TRUE(may_depend(spec.reach, y.shape(), o, x.shape(), i))
              << "output " << o << " depends on " << spec.name << " " << i;
        }
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
