// Attention whose keys count in part.
#include <gmock/gmock.h>

#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/ops/mask/packing.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kNaN;
using test::make;
using test::mask_of;
using test::to_doubles;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::Gt;
using ::testing::Lt;
using ::testing::Ne;

constexpr std::int64_t kFeatures = 6;

struct Attention {
  explicit Attention(const MultiHeadAttentionOptions& options = {}, DType dtype = DType::kFloat64)
      : layer(kFeatures, 2, options), parameters(layer, dtype, 1) {
    Random random(2);
    test::redraw(parameters, random, 0.7);
  }
  Variable kept(const Variable& x, const Variable& keep) {
    Pass pass;
    return layer.attend_kept(x, keep, pass);
  }
  MultiHeadAttention layer;
  ParameterBuffer parameters;
};

Variable values(const Shape& shape, SequenceMask mask = {}) {
  Random random(3);
  return test::leaf(test::uniform(random, shape), std::move(mask));
}

TEST(AttendKept, OfAllIsAPlainCall) {
  Attention attention;
  const Variable x = values({2, 4, kFeatures}, mask_of({1, 1, 1, 0, 0, 1, 1, 1}, {2, 4}));
  const Variable y = attention.kept(x, Variable(Tensor::full({2, 4}, 1, DType::kFloat64)));
  EXPECT_TRUE(y.mask() == x.mask());
  EXPECT_TRUE(test::is_close(y.value(), to_doubles(attention.layer(x).value()), 1e-13));
}

TEST(AttendKept, OfHardDecisionsIsACallWithAMask) {
  for (const AttentionKind kind : {AttentionKind::kBidirectional, AttentionKind::kCausal}) {
    Attention attention({.kind = kind});
    const Variable x = values({2, 4, kFeatures});
    const Tensor keep = make({1, 1, 0, 1, 1, 0, 0, 1}, {2, 4});
    const SequenceMask mask = mask_of(to_doubles(keep), {2, 4});
    const Tensor y = attention.kept(x, Variable(keep)).value();
    const Variable masked = attention.layer(ops::with_mask(x, mask));
    const std::vector<double> expected = to_doubles(masked.value()), all = to_doubles(y);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!mask.bits().data<bool>()[i / kFeatures]) continue;
      EXPECT_NEAR(all[i], expected[i], 1e-13) << i;
    }
  }
}

TEST(AttendKept, SendsItsGradientToKeysThatAreLeftOut) {
  Attention attention;
  const SequenceMask mask = mask_of({1, 1, 1, 0, 1, 1, 0, 1}, {2, 4});
  const Variable x = values({2, 4, kFeatures}, mask);
  const Variable keep = test::leaf(make({1, 0, 0.3, kNaN, 1, 0.5, kNaN, 0}, {2, 4}), mask);
  std::vector<NamedLeaf> leaves = attention.parameters.leaves();
  leaves.push_back({"x", x});
  leaves.push_back({"keep", keep});
  EXPECT_TRUE(test::gradients_agree([&] { return attention.kept(x, keep); }, leaves));
  Tape tape;
  const Variable y = attention.kept(x, keep);
  Tensor ones = Tensor::full(y.shape(), 1, DType::kFloat64);
  tape.backward(y, ones);
  EXPECT_NE(to_doubles(keep.grad())[1], 0);
  EXPECT_EQ(to_doubles(keep.grad())[3], 0);
}

TEST(AttendKept, ReadsNoKeepOfAPositionThatDoesNotExist) {
  const SequenceMask mask = mask_of({1, 1, 1, 0, 1, 1, 0, 1}, {2, 4});
  const Variable x = values({2, 4, kFeatures}, mask);
  const auto results = [&](double at_holes) {
    Attention attention;
    const Variable keep =
        test::leaf(make({1, 0, 0.3, at_holes, 1, 0.5, at_holes, 0}, {2, 4}));  // without a mask
    Tape tape;
    const Variable y = attention.kept(x, keep);
    tape.backward(y, Tensor::full(y.shape(), 1, DType::kFloat64));
    return std::vector{ops::fill_masked(Variable(y.value(), Variable::kConstant, mask)).value(),
                       keep.grad(), attention.parameters.gradients().clone()};
  };
  const std::vector<Tensor> expected = results(0), poisoned = results(kNaN);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(test::same_bits(poisoned[i], expected[i])) << i;
  }
}

TEST(AttendKept, OfNoKeyGivesWhatTheOutputMatrixMakesOfNothing) {
  for (const DType dtype : test::kFloatingDTypes) {
    Attention attention({}, dtype);
    const Variable x = test::leaf(values({1, 3, kFeatures}).value().to(dtype));
    const Variable keep = test::leaf(Tensor::zeros({1, 3}, dtype));
    Tape tape;
    const Variable y = attention.kept(x, keep);
    const std::vector<double> bias = to_doubles(attention.parameters.named_values().at("o_bias"));
    for (std::size_t i = 0; i < 3 * kFeatures; ++i) {
      EXPECT_EQ(to_doubles(y.value())[i], bias[i % kFeatures]);
    }
    tape.backward(y, Tensor::full(y.shape(), 10, dtype));
    EXPECT_THAT(to_doubles(keep.grad()), Each(AllOf(Gt(-1e4), Lt(1e4), Ne(0))));
    EXPECT_THAT(to_doubles(x.grad()), Each(0));
    EXPECT_THAT(to_doubles(attention.parameters.gradients()), Each(AllOf(Gt(-1e4), Lt(1e4))));
  }
}

// The first query sees one key, with the share 1, so that the gradient of its keep is what the
// output gains with it.
TEST(AttendKept, SendsABoundedGradientToTheOnlyKeyOfAQuery) {
  for (const DType dtype : test::kFloatingDTypes) {
    Attention attention({.kind = AttentionKind::kCausal}, dtype);
    const Variable x(values({1, 5, kFeatures}).value().to(dtype));
    const Variable keep = test::leaf(make({0, 1, 1, 1, 1}, {1, 5}).to(dtype));
    Tensor g = Tensor::zeros(x.shape(), dtype);
    g.view(0, {kFeatures}).copy_from(Tensor::full({kFeatures}, 1, dtype));
    const std::vector<double> y = to_doubles(attention.layer(x).value());
    const std::vector<double> bias = to_doubles(attention.parameters.named_values().at("o_bias"));
    double gain = 0;
    for (std::size_t i = 0; i < kFeatures; ++i) gain += y[i] - bias[i];
    {
      Tape tape;
      tape.backward(attention.kept(x, keep), g);
    }
    EXPECT_NEAR(to_doubles(keep.grad())[0], gain, 1e-4);
    Tape tape;
    tape.backward(attention.kept(x, keep), Tensor::full(x.shape(), 1, dtype));
    EXPECT_THAT(to_doubles(keep.grad()), Each(AllOf(Gt(-1e3), Lt(1e3))));
  }
}

TEST(AttendKept, RunsWithHeadsOfAnySize) {
  Attention attention({.head_features = 5});
  const Variable x = values({2, 4, kFeatures});
  const Variable all(Tensor::full({2, 4}, 1, DType::kFloat64));
  EXPECT_TRUE(test::is_close(attention.kept(x, all).value(), to_doubles(attention.layer(x).value()),
                             1e-13));
  const Variable keep = test::leaf(make({1, 0, 0.3, 1, 1, 0.5, 0, 1}, {2, 4}));
  EXPECT_TRUE(test::gradients_agree([&] { return attention.kept(x, keep); }, {{"keep", keep}}));
}

TEST(AttendKept, RunsOnAPackedRow) {
  Attention attention;
  const SequenceMask mask = mask_of({1, 1, 1, 0, 0, 1, 0, 1}, {2, 4});
  const Variable x = values({2, 4, kFeatures}, mask);
  const Variable keep(make({1, 0, 0.3, kNaN, kNaN, 0.5, kNaN, 1}, {2, 4}), Variable::kConstant,
                      mask);
  const ops::Packing packing = ops::packing_of(mask);
  Pass row = Pass().on_row(packing);
  const Variable packed =
      attention.layer.attend_kept(ops::pack(x, packing), ops::pack(keep, packing), row);
  EXPECT_TRUE(test::is_close(
      packed.value(), to_doubles(ops::pack(attention.kept(x, keep), packing).value()), 1e-13));
}

TEST(AttendKept, RefusesOtherShapesAndLayers) {
  Attention attention, shared({.key_heads = 1});
  const Variable x = values({1, 3, kFeatures});
  EXPECT_EQ(error_of([&] {
              attention.kept(x, Variable(make({1, 1}, {1, 2})));
            }),
            "[MultiHeadAttention] needs keep (1, 3), got (1, 2)");
  EXPECT_EQ(error_of([&] {
              shared.kept(x, Variable(make({1, 1, 1}, {1, 3})));
            }),
            "[MultiHeadAttention] keys are kept in part neither where they are rotated, shared or "
            "read from a cache, nor where masks end");
}

}  // namespace
}  // namespace maskgrad
