#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/autograd/replay.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Variable weighted(const Variable& x, double factor, const Tensor& add);

// y = factor x + add, where `add` takes no gradient: an argument and an input beside the recorded.
const OpDef& kWeighted = register_op({
    .name = "test_weighted",
    .summary = "factor x + add",
    .inputs = {{.name = "x", .reach = Reach::kElement, .gradient = Reads::nothing()},
               {.name = "add", .reach = Reach::kElement, .differentiable = false}},
    .args = {{"factor", 1.0}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {weighted(call.input("x"), call.arg<double>("factor"), call.input("add").value())};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"x", test::uniform(r, {2, 3})}, {"add", test::uniform(r, {2, 3})}},
               {{"factor", 2.5}}}};
    },
});

template <class Rule>
Variable record_weighted(const Variable& x, const Tensor& y, Rule rule, AlsoGiven given) {
  return record(kWeighted, {&x}, y, rule, given);
}

Variable weighted(const Variable& x, double factor, const Tensor& add) {
  const Tensor y = test::elementwise(x.value(), [&](std::int64_t i) {
    return factor * x.value().data<double>()[i] + add.data<double>()[i];
  });
  const auto rule = [factor](const Tensor& g, Gradients& grads) {
    grads.set(0,
              test::elementwise(g, [&](std::int64_t i) { return factor * g.data<double>()[i]; }));
  };
  return record_weighted(x, y, rule, {{"factor", factor}, {"add", add}});
}

std::vector<double> replayed(const Tape& tape, std::vector<Replacement> replacements,
                             const Variable& result) {
  return to_doubles(replay(tape, replacements, std::vector{result})[0].value());
}

class Replaying : public ::testing::Test {
 protected:
  void SetUp() override { y = weighted(weighted(x, 2, one), 3, one); }  // 3 (2x + 1) + 1

  Variable x = leaf(make({1, 2}, {2}));
  Tensor one = make({1, 1}, {2});
  Tape tape{{.trace = true}};
  Variable y;
};

TEST_F(Replaying, GivesTheSameAgain) { EXPECT_THAT(replayed(tape, {}, y), ElementsAre(10, 16)); }

TEST_F(Replaying, TakesAnotherLeaf) {
  EXPECT_THAT(replayed(tape, {{x, leaf(make({5, 0}, {2}))}}, y), ElementsAre(34, 4));
}

TEST_F(Replaying, TakesAnotherConstantWhereverItIsRead) {
  const Variable ten(make({10, 10}, {2}));
  EXPECT_THAT(replayed(tape, {{Variable(one), ten}}, y), ElementsAre(46, 52));
}

TEST_F(Replaying, RunsOnOtherSizes) {
  const std::vector<Replacement> longer = {{x, leaf(make({1, 2, 3}, {3}))},
                                           {Variable(one), Variable(make({0, 0, 0}, {3}))}};
  EXPECT_THAT(replayed(tape, longer, y), ElementsAre(6, 12, 18));
}

TEST_F(Replaying, IsRecordedByAnotherTape) {
  const Variable other = leaf(make({5, 0}, {2}));
  Tape again;
  const std::vector<Replacement> replacements = {{x, other}};
  const Variable result = replay(tape, replacements, std::vector{y})[0];
  again.backward(test::total(result));
  EXPECT_THAT(to_doubles(other.grad()), ElementsAre(6, 6));
}

TEST_F(Replaying, ShowsArgumentsAndInputsInTheTextOfTheTape) {
  EXPECT_EQ(tape.to_string(std::vector<NamedLeaf>{{"w", x}}),
            "$1 = test_weighted(add: float64 (2,), x: w, factor: 2) -> float64 (2,)\n"
            "$2 = test_weighted(add: float64 (2,), x: $1, factor: 3) -> float64 (2,)\n");
}

TEST_F(Replaying, RefusesWhatItCannotDo) {
  const auto error = [&](std::vector<Replacement> replacements, const Variable& result) {
    return error_of([&] { replay(tape, replacements, std::vector{result}); });
  };
  const Variable stranger = leaf(make({1, 2}, {2}));
  EXPECT_EQ(error({{stranger, x}}, y),
            "[replay] nothing on the tape reads replacement 0, a float64 (2,)");
  EXPECT_EQ(error({}, stranger), "[replay] result 0 was not recorded on this tape");
  EXPECT_EQ(error({{x, Variable(make({1, 2}, {2}, DType::kFloat32))}}, y),
            "[replay] a replacement is float32, not float64");
  EXPECT_THAT(error({}, Variable()), HasSubstr("[replay] a result"));
  EXPECT_THAT(error({{x, Variable()}}, y), HasSubstr("[replay] a replacement"));
}

TEST(Replay, NeedsATapeThatTraces) {
  const Variable x = leaf(make({1, 2}, {2}));
  Tape tape;
  const Variable y = test::product(x, x);
  EXPECT_EQ(error_of([&] { replay(tape, {}, std::vector{y}); }),
            "[replay] needs a tape that traces: Tape tape({.trace = true})");
}

TEST(Replay, NamesAnOperationThatDidNotTellAll) {
  const Variable x = leaf(make({1, 2}, {2}));
  Tape tape({.trace = true});
  const Variable y = record_weighted(x, x.value().clone(),
                                     [](const Tensor& g, Gradients& grads) { grads.set(0, g); },
                                     {{"factor", 1.0}});  // without the input 'add'
  EXPECT_EQ(error_of([&] { replay(tape, {}, std::vector{y}); }),
            "[replay] test_weighted did not tell record() all that it was called with: its last "
            "parameter must hold {{\"factor\", factor}}, and inputs that are no variables");
}

TEST(Replay, DropsAMaskWhereItWasDropped) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable x(make({3, 5}, {1, 2}), Variable::kRequiresGrad, mask);
  Tape tape({.trace = true});
  const Tensor zero = make({0, 0}, {1, 2});
  const Variable y = weighted(x, 1, zero);
  const Variable bare = weighted(drop_mask(y), 1, zero);
  const auto again = replay(tape, {}, std::vector{y, bare});
  EXPECT_TRUE(again[0].mask() == mask);
  EXPECT_FALSE(again[1].mask().defined());
}

}  // namespace
}  // namespace maskgrad
