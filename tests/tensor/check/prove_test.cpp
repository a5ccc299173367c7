#include <gmock/gmock.h>

#include <maskgrad/tensor/check/prove.hpp>
#include <maskgrad/tensor/mask_kernels.hpp>
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
  return record(op, {&x}, make({1}, {}),
                with_reach([](const Tensor&, Gradients&) {},
                           [mask](std::size_t, const Tensor& marked) {
                             return spread(Reach::kEverything, without_holes(marked, mask), {});
                           }));
}

TEST(ProveMask, HoldsWhereOnlyKeptPlacesAreRead) {
  const Variable x = leaf(kValues, kMask);
  Tape tape({.trace = true});
  sum(product(x, x), false);
  const MaskProof proof = prove_mask(tape);
  EXPECT_TRUE(proof.holds()) << to_string(proof);
  EXPECT_EQ(to_string(proof), "2 operations, 1 result: no masked place can reach a kept one");
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

TEST(ProveMask, HoldsForAnEmptyTape) {
  const Tape tape({.trace = true});
  EXPECT_TRUE(prove_mask(tape).holds());
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
