// What is written to between the two passes never gives a wrong gradient, for every registered
// operation: the gradient is that of the old values, or there is an error.
#include <functional>
#include <set>

#include <gmock/gmock.h>

#include "ops/registered.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::call_of;

class RegisteredAndOverwritten : public test::EachOp {
 protected:
  // The leaves' gradients when `overwrite` has its way after the forward pass; whether the backward
  // pass was refused.
  struct Pass {
    std::vector<Tensor> grads;
    std::string error;
  };
  Pass run(const OpSample& sample,
           const std::function<void(const OpCall&, std::span<const Variable>)>& overwrite) {
    const OpCall call = call_of(op(), sample);
    Tape tape;
    const std::vector<Variable> outputs = run_op(op(), call);
    const Variable& y = outputs.front();
    Pass pass;
    if (!y.requires_grad()) return pass;
    overwrite(call, outputs);
    Random random(2, stream_of("grad_output"));
    const Tensor g = test::uniform(random, y.shape());
    pass.error = test::error_of([&] { tape.backward(y, g); });
    for (const auto& [name, input] : call.inputs) {
      if (input.requires_grad()) pass.grads.push_back(input.grad());
    }
    return pass;
  }

  void expect_right_or_refused(const OpSample& sample, const std::string& what, const Pass& pass) {
    const Pass clean = run(sample, [](const OpCall&, std::span<const Variable>) {});
    EXPECT_EQ(clean.error, pass.grads.empty() ? "" : "no error");
    if (pass.error != "" && pass.error != "no error") {
      EXPECT_EQ(pass.error,
                "[" + op().name + "] the value of " + what +
                    " was written to after the forward pass, and its gradient needs it");
      return;
    }
    for (std::size_t i = 0; i < clean.grads.size(); ++i) {
      EXPECT_TRUE(test::same_bits(pass.grads[i], clean.grads[i])) << what << " was overwritten";
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Op, RegisteredAndOverwritten, ::testing::ValuesIn(test::op_names()),
                         test::op_test_name);

// Other values that the operation may have got as well, such as masks and lengths.
void overwrite(Tensor x) {
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    dispatch_dtype(AllTypes{}, x.dtype(), "overwrite", [&]<class T>(T) {
      T& element = x.data<T>()[i];
      if constexpr (std::is_same_v<T, bool>) {
        element = !element;
      } else {
        element = static_cast<T>(3 - element);
      }
    });
  }
}

TEST_P(RegisteredAndOverwritten, InAnInputGivesTheRightGradientOrAnError) {
  for (const OpSample& sample : samples()) {
    for (const auto& [name, value] : sample.inputs) {
      const std::string repeated =
          op().find_input(name)->repeated ? op().find_input(name)->name : name;
      expect_right_or_refused(sample, "input '" + repeated + "'",
                              run(sample, [&, input = name](const OpCall& call, auto) {
                                overwrite(call.input(input).value());
                              }));
    }
  }
}

TEST_P(RegisteredAndOverwritten, InAnOutputGivesTheRightGradientOrAnError) {
  for (const OpSample& sample : samples()) {
    for (std::size_t i = 0; i < op().outputs.size(); ++i) {
      const std::string output = "output '" + op().outputs[i] + "'";
      expect_right_or_refused(sample, output, run(sample, [&](const OpCall&, auto outputs) {
                                overwrite(outputs[i].value());
                              }));
    }
  }
}

TEST(RegistryOverwritten, HasOperationsThatRefuse) {
  // So that the tests above do not pass because nothing is ever overwritten.
  const Variable x = test::leaf(test::make({1, 2}, {2}));
  Tape tape;
  const OpCall call = {.inputs = {{"a", x}, {"b", x}}, .args = {}};
  const Variable y = run_op(find_op("multiply"), call).front();
  overwrite(x.value());
  EXPECT_THAT(test::error_of([&] {
                tape.backward(y, test::make({1, 1}, {2}));
              }),
              ::testing::HasSubstr("[multiply] the value of input 'b' was written to"));
}

}  // namespace
}  // namespace maskgrad
