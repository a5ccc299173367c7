#include <gmock/gmock.h>

#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/mask/holes.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::leaf;
using test::make;
using test::product;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const SequenceMask kMask(bits({1, 0, 1, 1}, {2, 2}));
const Tensor kValues = make({1, 2, 3, 4}, {2, 2});

// The sum of the kept places, or of all.
Variable sum(const Variable& x, bool all) {
  static const OpDef op = [] {
    OpDef def = test::toy("sum", MaskRule::kUses);
    def.inputs = {{.name = "input", .reach = Reach::kByCall}};
    return def;
  }();
  const SequenceMask mask = all ? SequenceMask() : x.mask();
  return record(
      op, {&x}, make({1}, {}),
      with_reach([](const Tensor&, Gradients&) {},
                 [mask](std::size_t, const Tensor& marked, const Way& way) {
                   return way.back ? without_holes(spread(Reach::kEverything, marked, way), mask)
                                   : spread(Reach::kEverything, without_holes(marked, mask), way);
                 }));
}

TEST(ProveMask, HoldsWhereOnlyKeptPlacesAreRead) {
  const Variable x = leaf(kValues, kMask);
  Tape tape({.trace = true});
  sum(product(x, x), false);
  const MaskProof proof = prove_mask(tape);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_EQ(to_string(proof),
            "2 operations, 1 result, 1 gradient: no masked place can reach a kept one");
}

TEST(ProveMask, ShowsTheWayFromAMaskedPlaceToTheResult) {
  const Variable x = leaf(kValues, kMask), w = leaf(make({1, 1, 1, 1}, {2, 2}));
  Tape tape({.trace = true});
  const Scope layer("pool");
  const Variable y = product(x, w);
  sum(product(drop_mask(y), w), true);
  const MaskProof proof = prove_mask(tape);
  EXPECT_THAT(proof.path, ElementsAre("element 1 of (2, 2) is masked, from product",
                                      "product in layer 'pool' gives element 1 of (2, 2)",
                                      "sum in layer 'pool' gives element 0 of ()"));
}

TEST(ProveMask, KnowsTheMaskOfAConstantThatIsDropped) {
  const Variable x(kValues, Variable::kConstant, kMask);
  Tape tape({.trace = true});
  sum(drop_mask(x), true);
  EXPECT_THAT(prove_mask(tape).path,
              ElementsAre("element 1 of (2, 2) is masked", "sum gives element 0 of ()"));
}

TEST(ProveMask, DoesNotDependOnTheNumbers) {
  const Variable x = leaf(make({0, 0, 0, 0}, {2, 2}), kMask);
  Tape tape({.trace = true});
  sum(drop_mask(product(x, x)), true);
  EXPECT_FALSE(prove_mask(tape).holds());
}

// x under the mask, whatever it carried.
Variable remask(const Variable& x) {
  static const OpDef op = [] {
    OpDef def = test::toy("remask", MaskRule::kMakes);
    def.inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads::nothing()}};
    return def;
  }();
  return record(op, {&x}, x.value().clone(), kMask,
                with_reach([](const Tensor& g, Gradients& grads) { grads.set(0, g); },
                           [](std::size_t, const Tensor& marked, const Way&) {
                             return without_holes(marked, kMask);
                           }));
}

TEST(ProveMask, ShowsTheWayFromAMaskedPlaceToAGradient) {
  const Variable x(kValues, Variable::kConstant, kMask), w = leaf(make({1, 1, 1, 1}, {2, 2}));
  Tape tape({.trace = true});
  const Variable y = product(x, x);
  {
    const Scope layer("head");
    sum(remask(product(drop_mask(y), w)), false);
  }
  const std::vector<NamedLeaf> leaves = {{"head.w", w}};
  const MaskProof proof = prove_mask(tape, leaves);
  EXPECT_FALSE(proof.holds());
  EXPECT_THAT(proof.path, IsEmpty()) << "nothing masked reaches the sum";
  EXPECT_EQ(to_string(proof),
            "4 operations, 1 result, 1 gradient: a masked place can reach a gradient\n"
            "  element 1 of (2, 2) is masked, from product\n"
            "  product in layer 'head' reads it for element 1 of the gradient of 'b' (2, 2), which "
            "is head.w\n"
            "  remedy: fill_masked() what product in layer 'head' reads, or let it have the mask: "
            "project first, drop_mask() after");
}

TEST(ProveMask, ShowsTheWayOfAGradientThroughOtherOperations) {
  const Variable x(kValues, Variable::kConstant, kMask), w = leaf(make({2, 3}, {2}));
  const Variable ones(make({1, 1, 1, 1}, {2, 2}));
  Tape tape({.trace = true});
  const Variable rows = product(ones, w), scaled = product(drop_mask(x), rows);
  sum(remask(scaled), false);
  EXPECT_THAT(prove_mask(tape).gradient_path,
              ElementsAre("element 1 of (2, 2) is masked",
                          "product reads it for element 1 of the gradient of 'b' (2, 2)",
                          "product passes it on to element 1 of the gradient of 'b' (2,)",
                          ::testing::HasSubstr("remedy: ")));
}

TEST(ProveMask, ShowsHowAValueThatAGradientReadsCameToDependOnAMaskedPlace) {
  const Variable x(kValues, Variable::kConstant, kMask), w = leaf(make({2, 3}, {2}));
  const Variable ones(make({1, 1}, {2}));
  Tape tape({.trace = true});
  sum(remask(product(product(drop_mask(x), ones), w)), false);
  EXPECT_THAT(prove_mask(tape).gradient_path,
              ElementsAre("element 1 of (2, 2) is masked", "product gives element 1 of (2, 2)",
                          "product reads it for element 1 of the gradient of 'b' (2,)",
                          ::testing::HasSubstr("remedy: ")));
}

TEST(ProveMask, HoldsForGradientsThatTheTapeDropsInHoles) {
  const Variable x = leaf(kValues, kMask), w = leaf(make({2, 3}, {2}));
  Tape tape({.trace = true});
  sum(product(x, w), false);
  const MaskProof proof = prove_mask(tape);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_EQ(proof.gradients, 2);
}

TEST(ProveMask, SpeaksOfNoGradientOfAConstant) {
  const Variable x(kValues, Variable::kConstant, kMask), w(make({2, 3}, {2}));
  Tape tape({.trace = true});
  sum(remask(product(drop_mask(x), w)), false);
  const MaskProof proof = prove_mask(tape);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_EQ(proof.gradients, 0);
}

// The gradient of w reads x, and is dropped with all that comes to the holes of what it is made of.
TEST(ProveMask, HoldsForRubbishThatIsDroppedOnItsWayBack) {
  const Variable x(kValues, Variable::kConstant, kMask), w = leaf(make({1, 2, 3, 4}, {2, 2}));
  Tape tape({.trace = true});
  sum(remask(product(drop_mask(x), remask(w))), false);
  const MaskProof proof = prove_mask(tape);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
}

TEST(ProveMask, DoesNotHoldForAnEmptyTape) {
  const Tape tape({.trace = true});
  EXPECT_EQ(test::error_of([&] { prove_mask(tape); }),
            "[prove_mask] the tape has no operation: nothing to prove");
}

TEST(ProveMask, NeedsATapeThatTraces) {
  const Tape tape;
  EXPECT_EQ(test::error_of([&] { prove_mask(tape); }),
            "[prove_mask] needs a tape that traces: Tape tape({.trace = true})");
}

TEST(ATracingTape, DoesNotRunBackward) {
  const Variable x = leaf(kValues);
  Tape tape({.trace = true});
  const Variable y = product(x, x);
  EXPECT_EQ(test::error_of([&] { tape.backward(y, kValues); }),
            "[backward] a tape that traces does not run backward");
}

TEST(ATracingTape, RecordsConstantsToo) {
  const Variable x(kValues);
  Tape tape({.trace = true});
  product(x, x);
  EXPECT_EQ(tape.nodes().size(), 1U);
}

TEST(ANode, WhoseReachDependsOnTheCallMustTellIt) {
  OpDef op = test::toy("mute", MaskRule::kKeeps);
  op.inputs[0].reach = Reach::kByCall;
  const Variable x = leaf(kValues, kMask);
  Tape tape({.trace = true});
  test::with_rule(
      x, [](const Tensor&, Gradients&) {}, op);
  EXPECT_EQ(test::error_of([&] { prove_mask(tape); }),
            "[mute] input 'a': its reach depends on the call, and the rule does not tell it");
}

}  // namespace
}  // namespace maskgrad
