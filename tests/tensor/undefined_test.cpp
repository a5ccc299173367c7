// What was never given a value is an error that says so, for every class of this room.
#include "support/undefined.hpp"

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/autograd/reach.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/check/gradients.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/lint.hpp>
#include <maskgrad/tensor/check/marks.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/check/padding.hpp>
#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/mask/explain.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::expect_used_before_a_value;

TEST(Undefined, TensorSaysSo) {
  Tensor none, some = Tensor::zeros({}, DType::kFloat32);
  expect_used_before_a_value({{"device", [&] { none.device(); }},
                              {"data", [&] { none.data<float>(); }},
                              {"values", [&] { none.values<float>(); }},
                              {"raw_data", [&] { none.raw_data(); }},
                              {"item", [&] { none.item(); }},
                              {"item<int64>", [&] { none.item<std::int64_t>(); }},
                              {"reshape", [&] { none.reshape({1}); }},
                              {"reshape to a shape", [&] { none.reshape(Shape{1}); }},
                              {"view", [&] { none.view(0, {}); }},
                              {"[]", [&] { none[0]; }},
                              {"clone", [&] { none.clone(); }},
                              {"to", [&] { none.to(DType::kFloat64); }},
                              {"to its own dtype", [&] { none.to(none.dtype()); }},
                              {"copy_from", [&] { none.copy_from(some); }},
                              {"copy_from nothing", [&] { some.copy_from(none); }},
                              {"copy nothing to nothing", [&] { none.copy_from(none); }},
                              {"fill", [&] { none.fill(0); }},
                              {"is_exclusive", [&] { none.is_exclusive(); }},
                              {"is_identical", [&] { is_identical(none, Tensor()); }},
                              {"is_identical left", [&] { is_identical(none, some); }},
                              {"is_identical right", [&] { is_identical(some, none); }}});
  EXPECT_FALSE(none.defined());
  EXPECT_TRUE(none.is_same_view(Tensor()));
}

TEST(Undefined, VariableSaysSo) {
  Variable none;
  Variable some = test::leaf(Tensor::zeros({}, DType::kFloat32));
  const Tensor value = some.value().clone();
  expect_used_before_a_value({{"Variable(Tensor())", [] { const Variable x{Tensor()}; }},
                              {"leaf", [] { const Variable x(Tensor(), Variable::kRequiresGrad); }},
                              {"device", [&] { none.device(); }},
                              {"item", [&] { none.item(); }},
                              {"grad", [&] { none.grad(); }},
                              {"clear_grad", [&] { none.clear_grad(); }},
                              {"bind", [&] { none.bind(value, value); }},
                              {"bind to nothing", [&] { some.bind(Tensor(), value); }},
                              {"bind a gradient to nothing", [&] { some.bind(value, Tensor()); }},
                              {"drop_mask", [&] { drop_mask(none); }}});
  EXPECT_FALSE(none.defined());
  EXPECT_FALSE(none.requires_grad());
}

TEST(Undefined, MasksSaySo) {
  const SequenceMask none;
  const SequenceMask some(test::bits({1, 0}, {1, 2}));
  const AttentionMask no_pairs;
  const AttentionMask pairs = AttentionMask::all(2, 2);
  const auto visit = [](std::int64_t, std::int64_t) {};
  expect_used_before_a_value({{"SequenceMask(Tensor())", [] { const SequenceMask x{Tensor()}; }},
                              {"from_tokens", [] { SequenceMask::from_tokens(Tensor(), 0); }},
                              {"kept", [&] { none.kept(); }},
                              {"&", [&] { none& some; }},
                              {"|", [&] { some | none; }},
                              {"~", [&] { ~none; }},
                              {"AttentionMask::shape", [&] { no_pairs.shape(); }},
                              {"AttentionMask::kept", [&] { no_pairs.kept(); }},
                              {"recipe", [&] { no_pairs.recipe(); }},
                              {"to_bits", [&] { no_pairs.to_bits(); }},
                              {"form", [&] { no_pairs.form(); }},
                              {"intervals_per_row", [&] { no_pairs.intervals_per_row(); }},
                              {"intervals", [&] { no_pairs.intervals(0, 0, 0); }},
                              {"row_bits", [&] { no_pairs.row_bits(0, 0, 0); }},
                              {"for_each_run", [&] { no_pairs.for_each_run(0, 0, 0, visit); }},
                              {"keeps", [&] { no_pairs.keeps(0, 0, 0, 0); }},
                              {"pairs &", [&] { no_pairs& pairs; }},
                              {"pairs |", [&] { pairs | no_pairs; }},
                              {"~pairs", [&] { ~no_pairs; }},
                              {"segments", [] { AttentionMask::segments(Tensor()); }},
                              {"padding", [&] { AttentionMask::padding(none); }},
                              {"padding of queries", [&] { AttentionMask::padding(none, 3); }},
                              {"existing", [&] { AttentionMask::existing(none); }},
                              {"bits", [] { AttentionMask::bits(Tensor()); }},
                              {"bits stretched", [] { AttentionMask::bits(Tensor(), 2, 2); }},
                              {"explain", [&] { explain(no_pairs); }},
                              {"draw", [&] { draw(no_pairs); }},
                              {"draw positions", [&] { draw(none); }}});
  EXPECT_TRUE(none == SequenceMask());
  EXPECT_TRUE(no_pairs == AttentionMask());
  EXPECT_FALSE(no_pairs == pairs);
}

TEST(Undefined, KernelsOfMasksAndGradientsSaySo) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  Tensor none, some = Tensor::zeros({1, 2}, DType::kFloat32);
  const Tensor marks = test::bits({1, 0}, {1, 2});
  expect_used_before_a_value({{"fill_holes", [&] { fill_holes(some, SequenceMask(), 0); }},
                              {"holes_hold", [&] { holes_hold(none, mask, 0); }},
                              {"holes_hold of none", [&] { holes_hold(some, SequenceMask(), 0); }},
                              {"holes_are_finite", [&] { holes_are_finite(none, mask); }},
                              {"without_holes", [&] { without_holes(none, mask); }},
                              {"add_into", [&] { add_into(none, Tensor()); }},
                              {"opposite", [&] { opposite(none); }},
                              {"either", [&] { either(none, Tensor()); }},
                              {"any", [&] { any(none); }},
                              {"spread", [&] {
                                 spread(Reach::kElement, none, Way{{2}, {2}});
                               }}});
}

TEST(Undefined, TapeSaysSo) {
  Tape tape;
  const Variable x = test::leaf(Tensor::zeros({}, DType::kFloat32));
  expect_used_before_a_value(
      {{"backward", [&] { tape.backward(Variable()); }},
       {"backward with a gradient", [&] { tape.backward(Variable(), x.value()); }},
       {"backward of no gradient", [&] { tape.backward(x, Tensor()); }}});
}

TEST(Undefined, ChecksSaySo) {
  const auto nothing = [] { return Variable(); };
  const auto something = [] { return Variable(Tensor::zeros({}, DType::kFloat64)); };
  const std::vector<NamedLeaf> bad = {{"w", Variable()}};
  const AttentionMask pairs = AttentionMask::all(2, 2);
  const Tensor x = Tensor::zeros({1, 2, 3}, DType::kFloat32);
  expect_used_before_a_value(
      {{"check_gradients", [&] { check_gradients(something, bad); }},
       {"check_gradients of nothing", [&] { check_gradients(nothing, {}); }},
       {"check_mask_leaks", [&] { check_mask_leaks(something, bad); }},
       {"check_mask_leaks of nothing", [&] { check_mask_leaks(nothing, {}); }},
       {"check_padding", [&] { check_padding([&](std::int64_t) { return something(); }, bad); }},
       {"check_padding of nothing",
        [&] { check_padding([&](std::int64_t) { return nothing(); }, {}); }},
       {"lint_mask",
        [&] {
          lint_mask(SequenceMask(test::bits({1}, {1, 1})), Tensor());
        }},
       {"lint_mask of pairs", [&] { lint_mask(pairs, x, Tensor()); }},
       {"MarkedTape", [] {
          const Tape tape({.trace = true});
          MarkedTape(tape).mark(Variable(), Tensor());
        }}});
}

TEST(Undefined, FunctionsAreRefused) {
  EXPECT_EQ(error_of([] { check_gradients(nullptr, {}); }),
            "[check_gradients] there is no function to check");
  EXPECT_EQ(error_of([] { check_mask_leaks(nullptr, {}); }),
            "[check_mask_leaks] there is no function to check");
  EXPECT_EQ(error_of([] { check_padding(nullptr, {}); }),
            "[check_padding] there is no function to check");
  OpDef op;
  op.name = "bare";
  EXPECT_EQ(error_of([&] { run_op(op, {}); }), "[bare] has no function to call");
  EXPECT_EQ(error_of([&] { check_op(op); }), "[bare] has no samples to be checked with");
}

TEST(Undefined, AnOperationThatGivesNothingIsAnError) {
  static const OpDef& forgetful = register_op({
      .name = "test_forgetful",
      .summary = "for this test",
      .inputs = {{.name = "input", .reach = Reach::kElement}},
      .mask_rule = MaskRule::kKeeps,
      .call = nullptr,
      .samples = nullptr,
  });
  const Variable x = test::leaf(Tensor::zeros({2}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { record(forgetful, {&x}, Tensor(), [](const Tensor&, Gradients&) {}); }),
            "[test_forgetful] its output was used before it was given a value");
}

}  // namespace
}  // namespace maskgrad
