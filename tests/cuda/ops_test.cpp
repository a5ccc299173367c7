// Every registered operation on a device: the CPU's numbers where it has kernels, else an error
// that says what is missing. No operation reads the device's memory on the host unseen.
#include <map>

#include <gmock/gmock.h>

#include "cuda/on_cuda.hpp"
#include "ops/registered.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using ::testing::HasSubstr;

// Outputs and gradients of a call, brought to the host.
std::vector<Tensor> run(const OpDef& op, const OpSample& sample, DType dtype, Device device) {
  OpCall call;
  call.args = sample.args;
  for (const auto& [name, x] : sample.inputs) {
    const bool moves = is_floating(x.dtype());
    call.inputs[name] = moves ? test::leaf(x.to(dtype).to(device)) : Variable(x);
  }
  Tape tape;
  std::vector<Tensor> all;
  const std::vector<Variable> outputs = run_op(op, call);
  for (const Variable& y : outputs) all.push_back(y.value().to(Device{}));
  if (!outputs.front().requires_grad()) return all;
  Random random(2);
  tape.backward(outputs.front(),
                test::uniform(random, outputs.front().shape()).to(dtype).to(device));
  for (const auto& [name, input] : call.inputs) {
    if (!input.requires_grad()) continue;
    const Tensor grad = input.grad();
    all.push_back(grad.defined() ? grad.to(Device{}) : Tensor::zeros({}, dtype));
  }
  return all;
}

// The operation of whose kernel this one is made.
std::string kernel_of(const std::string& op) {
  static const std::map<std::string, std::string> kOthers = {{"linear", "matmul"}};
  const auto other = kOthers.find(op);
  return other == kOthers.end() ? op : other->second;
}

bool says_what_is_missing(const std::string& op, const std::string& error) {
  return error == fmt::format("[{}] has no CUDA kernel", kernel_of(op)) ||
         error == fmt::format("[{}] got one input on cuda and another on cpu", op);
}

class EveryOp : public test::EachOp {};

TEST_P(EveryOp, HasTheNumbersOfTheCpuOrSaysWhatIsMissing) {
  for (const OpSample& sample : samples()) {
    for (const DType dtype : test::kFloatingDTypes) {
      const std::vector<Tensor> wanted = run(op(), sample, dtype, Device{});
      test::in_each_order([&] {
        try {
          const std::vector<Tensor> got = run(op(), sample, dtype, kCuda);
          ASSERT_EQ(got.size(), wanted.size());
          for (std::size_t i = 0; i < got.size(); ++i) {
            EXPECT_TRUE(test::is_near(got[i], wanted[i], test::allowed_ulps(op().name, dtype)))
                << i;
          }
        } catch (const Error& error) {
          EXPECT_TRUE(says_what_is_missing(op().name, error.what())) << error.what();
          RecordProperty("missing", error.what());
        }
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOp, ::testing::ValuesIn(test::op_names()),
                         test::op_test_name);

// The operations with kernels run, all of them: an error would pass above.
class OpWithKernels : public test::EachOp {};

std::vector<std::string> ops_with_kernels() {
  std::vector<std::string> names;
  for (const std::string& name : test::op_names()) {
    // Two run with the kernel of all that fills holes, two with those of the tape's sums.
    const bool fills = name == "with_mask" || name == "fill_masked";
    const bool sums = name == "sum" || name == "mean";
    if (fills || sums || KernelSlot::any_of(name)) names.push_back(name);
  }
  return names;
}

TEST_P(OpWithKernels, Runs) {
  for (const OpSample& sample : samples()) {
    EXPECT_EQ(test::error_of([&] { run(op(), sample, DType::kFloat32, kCuda); }), "no error");
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, OpWithKernels, ::testing::ValuesIn(ops_with_kernels()),
                         test::op_test_name);

TEST(OpsWithKernels, AreTheseAtLeast) {
  for (const char* name :
       {"abs",      "add",      "broadcast_to", "clip",       "divide", "elu",
        "exp",      "gelu",     "gelu_tanh",    "leaky_relu", "log",    "maximum",
        "minimum",  "multiply", "negate",       "pow",        "relu",   "scale",
        "sigmoid",  "silu",     "softplus",     "sqrt",       "square", "straight_through",
        "subtract", "tanh"}) {
    EXPECT_TRUE(KernelSlot::any_of(name)) << name;
  }
}

TEST(OpsWithKernels, AreTheseOnRows) {
  for (const char* name :
       {"argmax", "layer_norm", "log_softmax", "masked_layer_norm", "masked_log_softmax",
        "masked_max", "masked_mean", "masked_softmax", "max", "rms_norm", "softmax"}) {
    EXPECT_TRUE(KernelSlot::any_of(name)) << name;
  }
}

}  // namespace
}  // namespace maskgrad
