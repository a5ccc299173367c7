// Every operation says which of its inputs was never given a value.
#include "support/undefined.hpp"

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/mask/fill_by_rule.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/slice.hpp>

#include "ops/registered.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::expect_used_before_a_value;

class Undefined : public test::EachOp {};
INSTANTIATE_TEST_SUITE_P(Op, Undefined, ::testing::ValuesIn(test::op_names()), test::op_test_name);

// A sample with the defaults of arguments that it does not have.
OpCall complete_call(const OpDef& op, const OpSample& sample) {
  OpCall call = test::call_of(op, sample);
  for (const ArgSpec& arg : op.args) call.args.try_emplace(arg.name, arg.fallback);
  return call;
}

TEST_P(Undefined, InputOfACallByNameIsNamed) {
  for (const OpSample& sample : samples()) {
    for (const auto& [name, value] : sample.inputs) {
      OpCall call = test::call_of(op(), sample);
      call.inputs[name] = Variable();
      EXPECT_EQ(
          error_of([&] { run_op(op(), call); }),
          fmt::format("[{}] input '{}' was used before it was given a value", op().name, name));
    }
  }
}

// What run_op() looks at first is left out: the function itself must say so.
TEST_P(Undefined, InputOfACallOfTheFunctionIsAnErrorOfItsOwn) {
  for (const OpSample& sample : samples()) {
    for (const auto& [name, value] : sample.inputs) {
      if (op().find_input(name)->optional) continue;
      OpCall call = complete_call(op(), sample);
      call.inputs[name] = Variable();
      const std::string text = error_of([&] { op().call(call); });
      EXPECT_THAT(text, ::testing::HasSubstr("was used before it was given a value")) << name;
      EXPECT_THAT(text, ::testing::StartsWith("[" + op().name + "] ")) << name;
    }
  }
}

// And so must it be on a tape that runs backward later.
TEST_P(Undefined, InputIsAnErrorWhileRecordingToo) {
  Tape tape;
  const OpSample sample = samples().front();
  for (const auto& [name, value] : sample.inputs) {
    if (op().find_input(name)->optional) continue;
    OpCall call = complete_call(op(), sample);
    call.inputs[name] = Variable();
    EXPECT_THAT(error_of([&] { op().call(call); }),
                ::testing::HasSubstr("was used before it was given a value"));
  }
}

TEST(Undefined, FunctionsBesideTheRegistrySaySo) {
  const Variable none;
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  const Tensor keep = Tensor::full({2, 3}, true, DType::kBool);
  const SequenceMask mask(keep);
  const ops::Packing no_packing, packing = ops::packing_of(mask);
  const auto rows = Tensor::full({2}, true, DType::kBool);
  expect_used_before_a_value(
      {{"with_mask", [&] { ops::with_mask(none, mask); }},
       {"fill_masked", [&] { ops::fill_masked(none); }},
       {"intersect_masks", [&] { ops::intersect_masks(none, x); }},
       {"unite_masks", [&] { ops::unite_masks(x, none); }},
       {"compute_on_kept",
        [&] { ops::compute_on_kept(none, rows, [](const Variable& y) { return y; }); }},
       {"compute_on_kept of nothing",
        [&] { ops::compute_on_kept(x, rows, [](const Variable&) { return Variable(); }); }},
       {"fill_by_rows",
        [&] {
          ops::fill_by_rows(x, Tensor(), {1, 2, 3, 1}, 0);
        }},
       {"fill_where",
        [&] {
          ops::fill_where(none, ops::Upper{}, {1, 2, 3, 1});
        }},
       {"sequence_mask", [&] { ops::sequence_mask(none, "upper", {}); }},
       {"masked_mean", [&] { ops::masked_mean(none, 0); }},
       {"masked_max", [&] { ops::masked_max(none, 0); }},
       {"expand", [&] { ops::expand(Tensor(), {2}); }},
       {"permuted", [&] { ops::permuted(Tensor(), {}); }},
       {"argmax", [&] { ops::argmax(Tensor(), 0); }},
       {"accuracy", [&] { ops::accuracy(none, Tensor::zeros({2}, DType::kInt64)); }},
       {"accuracy without targets", [&] { ops::accuracy(x, Tensor()); }},
       {"sequence accuracy",
        [&] { ops::sequence_accuracy(none, Tensor::zeros({2}, DType::kInt64)); }},
       {"dropout", [&] { ops::dropout(none, 0.5, Random(1)); }},
       {"dropout of nothing", [&] { ops::dropout(none, 0, Random(1)); }},
       {"SumCount::mean", [] { ops::SumCount().mean(); }},
       {"concat",
        [&] {
          ops::concat({x, none}, 0);
        }},
       {"stacked_matmul", [&] { ops::stacked_matmul(x, {&none}); }},
       {"stacked_matmul of a null pointer",
        [&] { ops::stacked_matmul(x, {static_cast<const Variable*>(nullptr)}); }},
       {"stacked_linear",
        [&] {
          const Variable weight(Tensor::zeros({3, 2}, DType::kFloat32));
          ops::stacked_linear(x, {&weight}, {&none});
        }},
       {"packing_of", [] { ops::packing_of({}); }},
       {"packing_cost", [] { ops::packing_cost({}); }},
       {"plan_packing", [] { ops::plan_packing({}, {}); }},
       {"Packing::attention", [&] { no_packing.attention(); }},
       {"pack", [&] { ops::pack(none, packing); }},
       {"pack into nothing", [&] { ops::pack(x, no_packing); }},
       {"unpack", [&] { ops::unpack(none, packing); }},
       {"unpack from nothing", [&] { ops::unpack(x, no_packing); }},
       {"explain_attention", [] { ops::explain_attention({}); }}});
}

TEST(Undefined, FunctionToComputeOnWhatIsKeptIsRefused) {
  const Variable x(Tensor::zeros({2}, DType::kFloat32));
  EXPECT_EQ(
      error_of([&] { ops::compute_on_kept(x, Tensor::full({2}, true, DType::kBool), nullptr); }),
      "[compute_on_kept] there is no function to compute");
}

}  // namespace
}  // namespace maskgrad
