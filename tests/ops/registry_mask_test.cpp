// What stands at a masked place of an input reaches no result, for every registered operation.
#include <gmock/gmock.h>

#include <maskgrad/tensor/check/leaks.hpp>

#include "ops/registered.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::call_of;
using test::kInf;
using test::run_both_ways;

class RegisteredUnderAMask : public test::EachOp {};
INSTANTIATE_TEST_SUITE_P(Op, RegisteredUnderAMask, ::testing::ValuesIn(test::op_names()),
                         test::op_test_name);

// About a third of the positions are holes, the first always kept and the last never.
SequenceMask some_mask(const Shape& shape) {
  Random random(3, stream_of("mask"));
  Tensor bits = Tensor::full(shape.slice(0, 2), 1, DType::kBool);
  bool* keep = bits.data<bool>();
  for (std::int64_t i = 1; i < bits.numel(); ++i) keep[i] = random.uniform() < 0.67;
  keep[bits.numel() - 1] = false;
  return SequenceMask(bits);
}

// The call with a mask on one input, and `poison` in its holes.
OpCall masked_call(const OpDef& op, const OpSample& sample, const std::string& name, DType dtype,
                   double poison) {
  OpCall call = call_of(op, sample, dtype);
  Variable& input = call.inputs.at(name);
  const SequenceMask mask = some_mask(input.shape());
  Tensor value = input.value();
  fill_holes(value, mask, poison);
  input =
      Variable(value, input.requires_grad() ? Variable::kRequiresGrad : Variable::kConstant, mask);
  return call;
}

// Whatever an output holds at its holes is not part of it.
void forget_holes(test::Results& results) {
  for (Variable& output : results.outputs) {
    Tensor value = output.value().clone();
    if (output.mask().defined()) fill_holes(value, output.mask(), 0);
    output = Variable(value);
  }
}

// Throws Error when the operation refuses the mask.
void expect_no_leak(const OpDef& op, const OpSample& sample, const std::string& name, DType dtype) {
  test::Results clean = run_both_ways(op, masked_call(op, sample, name, dtype, 0.0));
  forget_holes(clean);
  for (const double poison : mask_poisons()) {
    test::Results poisoned =
        run_both_ways(op, masked_call(op, sample, name, dtype, poison), poison);
    forget_holes(poisoned);
    EXPECT_TRUE(same_bits(poisoned, clean)) << poison << " in the holes of " << name;
  }
}

TEST_P(RegisteredUnderAMask, LetsNothingThroughOrRefusesIt) {
  if (op().mask_rule != MaskRule::kKeeps) GTEST_SKIP() << to_string(op().mask_rule) << " the mask";
  for (const OpSample& sample : samples()) {
    for (const auto& [name, input] : sample.inputs) {
      if (!is_floating(input.dtype()) || input.rank() < 2 || input.numel() == 0) continue;
      for (const DType dtype : test::kFloatingDTypes) {
        try {
          expect_no_leak(op(), sample, name, dtype);
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), ::testing::HasSubstr("mask"));
        }
      }
    }
  }
}

TEST(RegistryUnderMasks, HasOperationsThatTakeThem) {
  // So that the test above does not pass because everything refuses.
  for (const char* name : {"add", "multiply", "divide", "maximum", "exp", "log", "gelu", "matmul",
                           "sum", "mean", "max", "softmax", "log_softmax", "keep_where"}) {
    const OpDef& op = find_op(name);
    Random random(1, stream_of(op.name));
    int taken = 0;
    for (const OpSample& sample : op.samples(random)) {
      const std::string input = op.inputs.front().name;
      if (sample.inputs.at(input).rank() < 2 || sample.inputs.at(input).numel() == 0) continue;
      taken += test::error_of([&] {
                 run_op(op, masked_call(op, sample, input, DType::kFloat64, 0));
               }) == "no error";
    }
    EXPECT_GT(taken, 0) << name;
  }
}

}  // namespace
}  // namespace maskgrad
