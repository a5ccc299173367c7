#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/recompute.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kToyProduct;
using test::leaf;
using test::make;
using test::product;
using test::same_bits;
using test::to_doubles;
using test::total;
using test::uniform;
using test::with_rule;
using ::testing::ElementsAre;

// f as it is, or recomputed.
template <class F, class... Inputs>
Variable maybe(bool is_recomputed, F f, const Inputs&... inputs) {
  return is_recomputed ? recompute(f, inputs...) : f(inputs...);
}

// The gradients of x, w and v under a chain of blocks. x is used between blocks, w in each of them
// twice and behind them, and blocks nest. So sums have many terms, whose order shows in the bits.
std::vector<Tensor> gradients_of_a_chain(bool is_recomputed, const std::vector<Tensor>& values) {
  const Variable x = leaf(values[0]), w = leaf(values[1]), v = leaf(values[2]);
  const auto inner = [&](const Variable& h) { return product(product(h, v), product(v, w)); };
  const auto block = [&](const Variable& h) {
    const Variable g = product(h, w);
    return product(product(h, maybe(is_recomputed, inner, product(g, w))), h);
  };
  Tape tape;
  Variable y = product(x, x);
  const Variable side = y;
  for (int i = 0; i < 3; ++i) {
    const Variable next = maybe(is_recomputed, block, y);
    y = product(product(next, y), product(side, w));
  }
  tape.backward(total(product(y, side)));
  return {y.value(), x.grad(), w.grad(), v.grad()};
}

TEST(Recompute, GivesTheBitsOfEveryGradientThatIsASumOfManyTerms) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    Random random(seed);
    const std::vector<Tensor> values = {uniform(random, {3, 4}, 0.5, 1.5),
                                        uniform(random, {4}, 0.5, 1.5),
                                        uniform(random, {3, 4}, 0.5, 1.5)};
    const std::vector<Tensor> expected = gradients_of_a_chain(false, values);
    const std::vector<Tensor> found = gradients_of_a_chain(true, values);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(same_bits(found[i], expected[i])) << "value " << i;
    }
  }
}

TEST(Recompute, KeepsNoOperationUntilBackwardAndNoneOfItAfterwards) {
  const Variable a = leaf(make({1, 2}, {2}));
  int runs = 0;
  Tensor saved;
  const auto f = [&](const Variable& x) {
    ++runs;
    saved = make({7}, {1});
    const Variable y = product(x, x);
    return with_rule(y, [kept = saved](const Tensor& g, Gradients& grads) { grads.set(0, g); });
  };
  Tape tape;
  const Variable y = recompute(f, a);
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(saved.is_exclusive()) << "the rule is gone";
  ASSERT_EQ(tape.nodes().size(), 1u);
  EXPECT_EQ(tape.to_string(), "$1 = recompute() -> float64 (2,)\n");
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(1, 4));
  tape.backward(total(y));
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(saved.is_exclusive());
  EXPECT_TRUE(tape.nodes().empty());
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(2, 4));
}

TEST(Recompute, RunsOnceWhereNothingIsRecordedOrNothingTakesAGradient) {
  int runs = 0;
  const auto f = [&](const Variable& x) {
    ++runs;
    return product(x, x);
  };
  const Variable a = leaf(make({3}, {1})), constant(make({3}, {1}));
  EXPECT_EQ(recompute(f, a).item(), 9);
  Tape tape;
  EXPECT_FALSE(recompute(f, constant).requires_grad());
  {
    const NoGrad no_grad;
    EXPECT_FALSE(recompute(f, a).requires_grad());
  }
  EXPECT_TRUE(tape.nodes().empty());
  const Variable skipped = recompute(f, a);
  tape.backward(total(a));
  EXPECT_EQ(runs, 4) << "backward has no gradient for it";
  EXPECT_EQ(a.grad().item(), 1);
}

TEST(Recompute, FindsLeavesThatItReadsThoughItsInputsTakeNoGradient) {
  const Variable constant(make({3}, {1})), w = leaf(make({5}, {1})), frozen(make({2}, {1}));
  Tape tape;
  const Variable y = recompute(
      [&](const Variable& x) { return product(product(x, frozen), product(w, w)); }, constant);
  EXPECT_TRUE(y.requires_grad());
  tape.backward(total(y));
  EXPECT_EQ(w.grad().item(), 60);
}

TEST(Recompute, AddsToTheGradientsOfValuesThatItOnlyRefersTo) {
  const Variable a = leaf(make({3}, {1}));
  Tape tape;
  const Variable b = product(a, a);
  tape.backward(total(recompute([&] { return product(b, product(a, b)); })));
  EXPECT_EQ(a.grad().item(), 5 * 81);
}

TEST(Recompute, GivesAValueFromOutsideAsItIs) {
  const Variable a = leaf(make({3}, {1}));
  Tape tape;
  const Variable b = product(a, a);
  EXPECT_EQ(recompute([](const Variable& x) { return x; }, b).gradient(), b.gradient());
  EXPECT_EQ(recompute([&] { return a; }).gradient(), a.gradient());
  EXPECT_EQ(tape.nodes().size(), 1u);
}

TEST(Recompute, AgreesWithCentralDifferences) {
  Random random(1);
  const Variable a = leaf(uniform(random, {2, 3})), b = leaf(uniform(random, {3}));
  const auto f = [&] {
    const auto inner = [&b](const Variable& x) { return product(product(x, x), b); };
    return recompute([inner](const Variable& x) { return product(recompute(inner, x), x); }, a);
  };
  EXPECT_TRUE(test::gradients_agree(f, {{"a", a}, {"b", b}}));
}

// As in full, nothing arrives at holes, whether the mask is still there at the end or dropped.
TEST(Recompute, KeepsMasksAndDropsWhatArrivesAtHoles) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  for (const bool drops : {false, true}) {
    std::vector<double> gradients[2];
    for (const bool is_recomputed : {false, true}) {
      const Variable a = leaf(make({2, 3}, {1, 2}), mask), b = leaf(make({5, 7}, {1, 2}));
      const auto f = [&](const Variable& x) {
        const Variable y = product(x, b);
        return drops ? drop_mask(y) : y;
      };
      Tape tape;
      const Variable y = maybe(is_recomputed, f, a);
      EXPECT_EQ(y.mask(), drops ? SequenceMask() : mask);
      tape.backward(product(y, y), make({1, test::kNaN}, {1, 2}));
      gradients[is_recomputed] = to_doubles(b.grad());
      const auto of_a = to_doubles(a.grad());
      gradients[is_recomputed].insert(gradients[is_recomputed].end(), of_a.begin(), of_a.end());
    }
    EXPECT_EQ(gradients[true], gradients[false]);
    EXPECT_EQ(gradients[true], (std::vector<double>{2 * 10 * 2, 0, 2 * 10 * 5, 0}));
  }
}

TEST(Recompute, RunsUnderTheScopesOfTheFirstRun) {
  const Variable a = leaf(make({3}, {1}));
  std::vector<std::string> paths;
  Variable y;
  Tape tape;
  {
    const Scope model("model"), block("block0");
    y = recompute(
        [&](const Variable& x) {
          const Scope layer("layer");
          paths.push_back(Scope::path());
          return product(x, x);
        },
        a);
  }
  const Scope elsewhere("elsewhere");
  tape.backward(total(y));
  EXPECT_THAT(paths, ElementsAre("model.block0.layer", "model.block0.layer"));
  EXPECT_EQ(Scope::path(), "elsewhere");
}

class Seen : public TapeObserver {
 public:
  void on_output(const OpDef& op, Tensor&, const SequenceMask&) override { all += op.name + " "; }
  void on_gradient(const Node& node, const std::string&, std::size_t, Tensor&) override {
    all += "d" + node.op().name + " ";
  }
  std::string all;
};

TEST(Recompute, HidesNothingFromWhoLooksOn) {
  const Variable a = leaf(make({3}, {1}));
  const auto f = [](const Variable& x) { return product(x, x); };
  Seen seen;
  Tape tape({.observer = &seen});
  tape.backward(recompute(f, a));
  EXPECT_EQ(seen.all, "product dproduct dproduct ");
  Tape trace({.trace = true});
  recompute(f, a);
  ASSERT_EQ(trace.nodes().size(), 1u);
  EXPECT_EQ(trace.nodes()[0]->op().name, "product");
}

TEST(Recompute, PassesErrorsOnAndLeavesTheTapeAsItWas) {
  const Variable a = leaf(make({3}, {1}));
  int runs = 0, fails_in = 1;
  const auto f = [&](const Variable& x) {
    const Variable y = product(x, x);
    check(++runs != fails_in, "f", "fails in run {}", runs);
    return y;
  };
  Tape tape;
  EXPECT_EQ(error_of([&] { recompute(f, a); }), "[f] fails in run 1");
  EXPECT_EQ(Tape::current(), &tape);
  EXPECT_TRUE(tape.nodes().empty());
  fails_in = 3;
  const Variable y = recompute(f, a);
  EXPECT_EQ(error_of([&] { tape.backward(total(y)); }), "[f] fails in run 3");
  EXPECT_EQ(Tape::current(), &tape);
  Tape next;
  next.backward(total(recompute(f, a)));
  EXPECT_EQ(a.grad().item(), 6);
}

TEST(Recompute, RefusesToReadAgainWhatWasWrittenTo) {
  constexpr const char* kError =
      "[recompute] a value that it reads was written to after the forward pass, and is needed "
      "again";
  const auto error = [](auto f, Tensor& value, const Variable& x) {
    Tape tape;
    const Variable y = total(recompute(f, x));
    value.data<double>()[0] = 1;
    return error_of([&] { tape.backward(y); });
  };
  Tensor input = make({3}, {1}), weight = make({5}, {1});
  const Variable constant(input), w = leaf(weight);
  const auto f = [&](const Variable& x) { return product(x, w); };
  EXPECT_EQ(error(f, input, constant), kError);
  EXPECT_EQ(error(f, weight, constant), kError);
}

TEST(Recompute, RefusesWhatIsNotTheSameAgain) {
  const Variable a = leaf(make({3, 4}, {2})), constant(make({3, 4}, {2}));
  const auto error = [&](const Variable& then) {
    Tape tape;
    const auto f = [&then, runs = 0](const Variable& x) mutable {
      return ++runs == 1 ? product(x, x) : then.defined() ? product(then, then) : Variable();
    };
    const Variable y = total(recompute(f, a));
    return error_of([&] { tape.backward(y); });
  };
  EXPECT_EQ(error(leaf(make({1}, {1}))),
            "[recompute] gave float64 (2,) before, and now float64 (1,)");
  EXPECT_EQ(error(constant),
            "[recompute] gave float64 (2,) before, and now float64 (2,), which takes no gradient");
  EXPECT_EQ(error({}), "[recompute] the result of f was used before it was given a value");
}

TEST(Recompute, RefusesTheTapesThatRecordingRefuses) {
  const Variable a = leaf(make({3}, {1}));
  const auto f = [](const Variable& x) { return product(x, x); };
  Variable of_another;
  {
    Tape other;
    of_another = product(a, a);
  }
  Tape tape;
  EXPECT_EQ(error_of([&] { recompute(f, of_another); }),
            "[recompute] got an input that another tape recorded");
  EXPECT_EQ(error_of([&] { recompute([&] { return f(of_another); }); }),
            "[product] got an input that another tape recorded");
  Variable inside;
  const Variable y = recompute([&](const Variable& x) { return inside = f(x); }, a);
  EXPECT_EQ(error_of([&] { f(inside); }), "[product] got an input that another tape recorded");
  tape.backward(total(y));
  EXPECT_EQ(error_of([&] { recompute(f, a); }),
            "[recompute] cannot be recorded on a tape that has run backward");
}

}  // namespace
}  // namespace maskgrad
