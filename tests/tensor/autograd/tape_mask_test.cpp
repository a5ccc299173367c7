// What the tape does at masked places, and follow_mask().

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::product;
using test::to_doubles;
using test::total;
using test::with_rule;
using ::testing::Each;
using ::testing::ElementsAre;

const SequenceMask kMask(test::bits({1, 0, 1, 0}, {2, 2}));
const SequenceMask kOther(test::bits({1, 1, 1, 0}, {2, 2}));

TEST(MaskedGradient, IsDroppedWhereALeafHasHoles) {
  const Variable x = leaf(make({1, 2, 3, 4}, {2, 2}), kMask);
  const Tensor grad_output = make({5, kNaN, 6, kInf}, {2, 2});
  Tape().backward(x, grad_output);
  EXPECT_TRUE(test::same_bits(x.grad(), make({5, 0, 6, 0}, {2, 2})));
  EXPECT_TRUE(std::isnan(to_doubles(grad_output)[1])) << "the caller's tensor was written to";
}

TEST(MaskedGradient, IsDroppedWhereALeafInABufferHasHoles) {
  Variable x = leaf(make({1, 2, 3, 4}, {2, 2}), kMask);
  const Tensor buffer = Tensor::full({2, 2}, 99, DType::kFloat64);
  x.bind(x.value().clone(), buffer);
  Tape tape;
  tape.backward(with_rule(x,
                          [](const Tensor& g, Gradients& grads) {
                            grads.buffer(0).copy_from(g);
                            grads.buffer(0).fill(kNaN);
                            grads.buffer(0).copy_from(make({5, kNaN, 6, kNaN}, {2, 2}));
                          }),
                make({1, 1, 1, 1}, {2, 2}));
  EXPECT_TRUE(test::same_bits(buffer, make({5, 0, 6, 0}, {2, 2})));
}

TEST(MaskedGradient, IsDroppedBetweenTwoRules) {
  const Variable x = leaf(make({1, 2, 3, 4}, {2, 2}), kMask);
  Tape tape;
  const Variable y = with_rule(x, [](const Tensor& g, Gradients& grads) {
    EXPECT_THAT(to_doubles(g), ElementsAre(7, 0, 8, 0));
    grads.set(0, g);
  });
  const Variable z = with_rule(y, [](const Tensor&, Gradients& grads) {
    grads.set(0, make({7, kNaN, 8, -kInf}, {2, 2}));
  });
  tape.backward(z, Tensor::full({2, 2}, 1, DType::kFloat64));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(7, 0, 8, 0));
}

TEST(MaskedGradient, CoversAllFeaturesOfAPosition) {
  const Variable x = leaf(Tensor::zeros({2, 2, 3}, DType::kFloat64), kMask);
  Tape().backward(x, Tensor::full({2, 2, 3}, kNaN, DType::kFloat64).clone());
  EXPECT_TRUE(std::isnan(to_doubles(x.grad())[0]));
  EXPECT_THAT(to_doubles(x.grad().view(3, {3})), Each(0));
  EXPECT_THAT(to_doubles(x.grad().view(9, {3})), Each(0));
}

TEST(MaskedGradient, StaysDroppedAfterTheMaskIsDropped) {
  const Variable x = leaf(make({1, 2, 3, 4}, {2, 2}), kMask);
  Tape tape;
  tape.backward(total(drop_mask(x)));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(1, 0, 1, 0));
}

TEST(MaskedGradient, OfAnotherInputDoesNotSeeWhatStandsInTheHoles) {
  const auto gradients = [](double poison) {
    const Variable x(make({1, poison, 3, poison}, {2, 2}), Variable::kConstant, kMask);
    const Variable row = leaf(make({2, 5}, {2})), full = leaf(make({1, 2, 3, 4}, {2, 2}));
    Tape tape;
    tape.backward(total(product(product(x, row), full)));
    return std::pair(row.grad(), full.grad());
  };
  const auto clean = gradients(0);
  EXPECT_THAT(to_doubles(clean.first), ElementsAre(1 * 1 + 3 * 3, 0));
  EXPECT_THAT(to_doubles(clean.second), ElementsAre(2, 0, 6, 0));
  for (const double poison : {1e30, -1e30, kInf, -kInf, kNaN}) {
    EXPECT_TRUE(test::same_bits(gradients(poison).first, clean.first)) << poison;
    EXPECT_TRUE(test::same_bits(gradients(poison).second, clean.second)) << poison;
  }
}

// z of x and y, whose rule gives one gradient to both.
Variable shares(const Variable& x, const Variable& y) {
  return record(test::kToyRule, {&x, &y}, make({6, 8, 10, 12}, {2, 2}),
                [](const Tensor& g, Gradients& grads) {
                  grads.set(0, g);
                  grads.set(1, g);
                });
}

// What two values share is copied only if there is something to drop in one of them.
TEST(MaskedGradient, IsSharedByValuesWithAndWithoutTheMaskUnlessHolesHoldSomething) {
  for (const double arriving : {0.0, 5.0, kNaN}) {
    std::vector<Tensor> seen;
    const auto look = [&](const Tensor& g, Gradients& grads) {
      seen.push_back(g);
      grads.set(0, Tensor::zeros({2, 2}, DType::kFloat64));
    };
    const Variable x = leaf(make({1, 2, 3, 4}, {2, 2}), kMask);
    const Variable y = leaf(make({5, 6, 7, 8}, {2, 2}));
    const Tensor grad_output = make({1, arriving, 3, arriving}, {2, 2});
    Tape tape;
    const Variable z = shares(with_rule(x, look), with_rule(y, look));
    const std::uint64_t copied = Traffic::so_far().copied;
    tape.backward(z, grad_output);
    // with_rule() clones values forward, and nothing backward.
    EXPECT_EQ(Traffic::so_far().copied - copied, arriving == 0 ? 0 : grad_output.nbytes());
    ASSERT_EQ(seen.size(), 2U);
    for (const Tensor& grad : seen) EXPECT_THAT(to_doubles(grad), ElementsAre(1, 0, 3, 0));
  }
}

// The caller's gradient, and that of each leaf, may be written to.
TEST(MaskedGradient, IsCopiedOnceForEachOfTwoLeavesThatAreGivenIt) {
  for (const double arriving : {0.0, 5.0, kNaN}) {
    const Variable x = leaf(make({1, 2, 3, 4}, {2, 2}), kMask);
    const Variable y = leaf(make({5, 6, 7, 8}, {2, 2}));
    const Tensor grad_output = make({1, arriving, 3, arriving}, {2, 2});
    const std::vector<double> before = to_doubles(grad_output);
    Tape tape;
    const Variable z = shares(x, y);
    const std::uint64_t copied = Traffic::so_far().copied;
    tape.backward(z, grad_output);
    EXPECT_EQ(Traffic::so_far().copied - copied, 2 * grad_output.nbytes());
    EXPECT_THAT(to_doubles(x.grad()), ElementsAre(1, 0, 3, 0));
    EXPECT_THAT(to_doubles(y.grad()), ElementsAre(1, 0, 3, 0));
    EXPECT_FALSE(x.grad().is_same_view(y.grad()));
    EXPECT_TRUE(test::is_close(grad_output, before));
  }
}

TEST(MaskedValue, MayHoldAnythingWhenFiniteOutputsAreAskedFor) {
  const Variable x = leaf(make({1, kNaN, 3, kInf}, {2, 2}), kMask);
  FiniteCheck check;
  Tape tape(Tape::Options{.observer = &check});
  EXPECT_EQ(error_of([&] { product(x, x); }), "no error");
  EXPECT_EQ(error_of([&] { product(drop_mask(x), drop_mask(x)); }),
            "[product] gave nan at element 1 of (2, 2)");
}

SequenceMask follow(MaskRule rule, const Variable& a, const Variable& b, const Shape& output,
                    Reach reach = Reach::kEverything) {
  OpDef op = test::toy("toy", rule);
  for (InputSpec& input : op.inputs) input.reach = reach;
  const Variable* const inputs[] = {&a, &b};
  return follow_mask(op, inputs, output);
}

const Variable kPlain(make({1, 2, 3, 4}, {2, 2}));
const Variable kMasked(make({1, 2, 3, 4}, {2, 2}), Variable::kConstant, kMask);
const Variable kOtherwise(make({1, 2, 3, 4}, {2, 2}), Variable::kConstant, kOther);

TEST(FollowMask, GivesNothingWhereNothingIsMasked) {
  for (const MaskRule rule : {MaskRule::kUnset, MaskRule::kKeeps, MaskRule::kUses, MaskRule::kMakes,
                              MaskRule::kChanges, MaskRule::kEnds}) {
    EXPECT_FALSE(follow(rule, kPlain, kPlain, {2, 2}).defined());
  }
}

TEST(FollowMask, PassesOnTheMaskThatIsKept) {
  EXPECT_TRUE(follow(MaskRule::kKeeps, kMasked, kPlain, {2, 2}) == kMask);
  EXPECT_TRUE(follow(MaskRule::kKeeps, kPlain, kMasked, {2, 2, 5}) == kMask);
  const Variable same(kMasked.value(), Variable::kConstant, SequenceMask(kMask.bits().clone()));
  EXPECT_TRUE(follow(MaskRule::kKeeps, kMasked, same, {2, 2}) == kMask);
}

TEST(FollowMask, RefusesToKeepTwoDifferentMasks) {
  EXPECT_EQ(error_of([] {
              follow(MaskRule::kKeeps, kMasked, kOtherwise, {2, 2});
            }),
            "[toy] the inputs carry different masks: name intersect_masks() or unite_masks(), or "
            "drop_mask() one of them");
}

TEST(FollowMask, RefusesToKeepAMaskThatTheOutputHasNoPlaceFor) {
  EXPECT_EQ(error_of([] { follow(MaskRule::kKeeps, kMasked, kPlain, {4}); }),
            "[toy] would lose the mask: its output (4,) does not start with the positions (2, 2); "
            "use drop_mask() if it should end here");
}

TEST(FollowMask, LeavesTheOutputToOperationsThatUseMakeChangeOrEndIt) {
  for (const MaskRule rule :
       {MaskRule::kUses, MaskRule::kMakes, MaskRule::kChanges, MaskRule::kEnds}) {
    EXPECT_FALSE(follow(rule, kMasked, kOtherwise, {4}).defined()) << to_string(rule);
  }
}

TEST(FollowMask, RefusesAMaskWhereTheOperationDidNotSay) {
  EXPECT_EQ(error_of([] {
              follow(MaskRule::kUnset, kPlain, kMasked, {2, 2});
            }),
            "[toy] got a mask and does not say what becomes of it; use drop_mask() if it should "
            "end here");
}

TEST(FollowMask, RefusesPositionsThatBroadcastingMovesToOtherDimensions) {
  // (2, 2) stretched to (2, 2, 2) has its positions in the last two dimensions.
  EXPECT_EQ(error_of([] {
              follow(MaskRule::kKeeps, kMasked, kPlain, {2, 2, 2}, Reach::kElement);
            }),
            "[toy] would lose the mask: broadcasting (2, 2) to (2, 2, 2) moves its positions; use "
            "drop_mask() if it should end here");
}

}  // namespace
}  // namespace maskgrad
