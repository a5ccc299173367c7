// Operations that give several values.
#include <array>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/prove.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::leaf;
using test::make;
using test::to_doubles;
using test::total;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

OpDef described(Reach reach) {
  OpDef op;
  op.name = "twice_and_square";
  op.inputs = {{.name = "x", .reach = reach, .gradient = Reads{"x"}}};
  op.outputs = {"twice", "square"};
  op.mask_rule = MaskRule::kKeeps;
  return op;
}
const OpDef kTwiceAndSquare = described(Reach::kElement);

struct Both {
  Variable twice, square;
};

// 2x and x^2;  dx = 2 g_twice + 2 x g_square
Both twice_and_square(const Variable& x, SequenceMask of_square) {
  const double* at = x.value().data<double>();
  std::array<OpOutput, 2> made = {
      OpOutput{test::elementwise(x.value(), [at](std::int64_t i) { return 2 * at[i]; }), x.mask()},
      OpOutput{test::elementwise(x.value(), [at](std::int64_t i) { return at[i] * at[i]; }),
               std::move(of_square)}};
  const auto rule = [saved = Saved(kTwiceAndSquare, "x", x.value())](std::span<Tensor> g,
                                                                     Gradients& grads) {
    const double* value = saved->data<double>();
    grads.set(0, test::elementwise(*saved, [&](std::int64_t i) {
                const double by_twice = g[0].defined() ? 2 * g[0].data<double>()[i] : 0;
                const double by_square = g[1].defined() ? 2 * value[i] * g[1].data<double>()[i] : 0;
                return by_twice + by_square;
              }));
  };
  std::array<Variable, 2> results;
  record(kTwiceAndSquare, {&x}, made, results, rule);
  return {results[0], results[1]};
}
Both twice_and_square(const Variable& x) { return twice_and_square(x, x.mask()); }

TEST(SeveralOutputs, ShareOneNode) {
  const Variable x = leaf(make({1, 2}, {2}));
  Tape tape;
  const auto [twice, square] = twice_and_square(x);
  ASSERT_EQ(tape.nodes().size(), 1u);
  EXPECT_EQ(tape.nodes()[0]->outputs()[0].get(), twice.gradient());
  EXPECT_EQ(tape.nodes()[0]->outputs()[1].get(), square.gradient());
  EXPECT_THAT(to_doubles(twice.value()), ElementsAre(2, 4));
  EXPECT_THAT(to_doubles(square.value()), ElementsAre(1, 4));
}

TEST(SeveralOutputs, AddUpTheirGradients) {
  const Variable x = leaf(make({3, 5}, {2}));
  Tape tape;
  const auto [twice, square] = twice_and_square(x);
  tape.backward(total(test::product(twice, square)));  // 2 x^3
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(6 * 9, 6 * 25));
}

TEST(SeveralOutputs, GiveTheRuleNothingWhereNothingArrived) {
  for (const bool by_square : {false, true}) {
    const Variable x = leaf(make({3, 5}, {2}));
    Tape tape;
    const auto [twice, square] = twice_and_square(x);
    tape.backward(total(by_square ? square : twice));
    EXPECT_THAT(to_doubles(x.grad()), by_square ? ElementsAre(6, 10) : ElementsAre(2, 2));
  }
}

TEST(SeveralOutputs, RunNoRuleWhenNothingArrivedAtAny) {
  const Variable x = leaf(make({3, 5}, {2}));
  Tape tape;
  twice_and_square(x);
  tape.backward(total(x));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(1, 1));
}

TEST(SeveralOutputs, DropWhatArrivesInTheirHoles) {
  const SequenceMask mask(make({1, 0}, {1, 2}, DType::kBool));
  const Variable x(make({3, 5}, {1, 2}), Variable::kRequiresGrad, mask);
  Tape tape;
  const auto [twice, square] = twice_and_square(x);
  tape.backward(square, make({1, 1e300}, {1, 2}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(6, 0));
}

// Of one shape or another: it is enough that the gradient is aligned with one of them.
TEST(SeveralOutputs, DropWhatTheRuleMakesOfTheHolesOfEither) {
  OpDef op = described(Reach::kElement);
  op.outputs = {"pair", "same"};
  const SequenceMask mask(make({1, 0}, {1, 2}, DType::kBool));
  const Tensor three = make({3, 3}, {1, 2}), six = make({6, 6, 6, 6}, {1, 2, 2});
  for (const bool pair_first : {false, true}) {
    const Variable x = leaf(make({1, 2}, {1, 2}));
    std::array<OpOutput, 2> made = {OpOutput{three, mask}, OpOutput{three, mask}};
    made[pair_first ? 0 : 1].value = six;
    std::array<Variable, 2> results;
    Tape tape;
    record(op, {&x}, made, results, [](std::span<Tensor>, Gradients& grads) {
      grads.set(0, make({5, test::kNaN}, {1, 2}));
    });
    const Tensor& value = results[0].value();
    tape.backward(results[0], Tensor::full(value.shape(), 1, value.dtype()));
    EXPECT_THAT(to_doubles(x.grad()), ElementsAre(5, 0)) << pair_first;
  }
}

TEST(SeveralOutputs, CarryOneMaskWhenTheyAreAlignedWithAnInput) {
  const SequenceMask mask(make({1, 0}, {1, 2}, DType::kBool));
  const Variable x(make({3, 5}, {1, 2}), Variable::kRequiresGrad, mask);
  EXPECT_EQ(error_of([&] { twice_and_square(x, SequenceMask()); }),
            "[twice_and_square] its outputs carry different masks, though they are aligned with "
            "input 0");
}

// What is read of one output is proved by that output's marks alone.
TEST(SeveralOutputs, AreProvedOneByOne) {
  const SequenceMask mask(make({1, 0}, {1, 2}, DType::kBool));
  const Variable x(make({3, 5}, {1, 2}), Variable::kRequiresGrad, mask);
  const auto proof_of = [&](auto f) {
    Tape tape({.trace = true});
    f(twice_and_square(x));
    return prove_mask(tape, {});
  };
  EXPECT_TRUE(proof_of([](const Both& y) { test::product(y.twice, y.square); }).holds());
  const MaskProof leak = proof_of([](const Both& y) {
    const Variable bare = drop_mask(y.square);
    test::product(bare, bare);
  });
  EXPECT_FALSE(leak.holds());
  EXPECT_THAT(to_string(leak), HasSubstr("element 1 of (1, 2) is masked, from twice_and_square"));
}

TEST(SeveralOutputs, AreLookedAtByTheLeakCheck) {
  const SequenceMask mask(make({1, 0}, {1, 2}, DType::kBool));
  const Variable x(make({3, 5}, {1, 2}), Variable::kRequiresGrad, mask);
  const std::vector<NamedLeaf> leaves = {{"x", x}};
  const auto f = [&] {
    const auto [twice, square] = twice_and_square(x);
    return test::product(twice, square);
  };
  const LeakReport report = check_mask_leaks(f, leaves);
  EXPECT_TRUE(report.leaks.empty()) << to_string(report);
  EXPECT_EQ(report.operations, 3);  // values shown: two, and the product
}

TEST(SeveralOutputs, StandInTheTextOfATape) {
  const Variable x = leaf(make({3, 5}, {2}));
  Tape tape;
  const auto [twice, square] = twice_and_square(x);
  test::product(twice, square);
  EXPECT_EQ(tape.to_string(std::vector<NamedLeaf>{{"w", x}}),
            "$1, $2 = twice_and_square(x: w) -> float64 (2,), float64 (2,)\n"
            "$3 = product(a: $1, b: $2) -> float64 (2,)\n");
}

}  // namespace
}  // namespace maskgrad
