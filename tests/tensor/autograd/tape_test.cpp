#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::leaf;
using test::make;
using test::product;
using test::to_doubles;
using test::total;
using test::with_rule;
using ::testing::ElementsAre;

TEST(Tape, LeavesTheGradientOfASumOfProductsInItsLeaves) {
  const Variable a = leaf(make({1, 2, 3}, {3})), b = leaf(make({4, 5, 6}, {3}));
  Tape tape;
  tape.backward(total(product(a, b)));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(4, 5, 6));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(1, 2, 3));
}

TEST(Tape, ScalesGradientsByTheSeed) {
  const Variable a = leaf(make({1, 2}, {2}));
  Tape tape;
  tape.backward(total(a), -0.5);
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(-0.5, -0.5));
}

TEST(Tape, RunsBackwardFromAnyShapeWithAGradientOfThatShape) {
  const Variable a = leaf(make({1, 2}, {2})), b = leaf(make({4, 5}, {2}));
  Tape tape;
  tape.backward(product(a, b), make({10, 100}, {2}));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(40, 500));
}

TEST(Tape, AgreesWithCentralDifferencesOnATangledGraph) {
  Random random(1);
  const Variable a = leaf(test::uniform(random, {2, 3})), b = leaf(test::uniform(random, {3}));
  const auto f = [&] {
    const Variable c = product(a, b), d = product(c, c);
    return product(product(d, a), b);
  };
  EXPECT_TRUE(test::gradients_agree(f, {{"a", a}, {"b", b}}));
}

TEST(Tape, RecordsOnlyWhatTakesGradients) {
  const Variable a = leaf(make({1, 2}, {2}));
  const Variable constant(make({3, 4}, {2}));
  Tape tape;
  EXPECT_FALSE(product(constant, constant).requires_grad());
  EXPECT_TRUE(tape.nodes().empty());
  EXPECT_TRUE(product(a, constant).requires_grad());
  ASSERT_EQ(tape.nodes().size(), 1U);
  const Node& node = *tape.nodes()[0];
  EXPECT_EQ(node.op().name, "product");
  EXPECT_TRUE(node.inputs()[0]);
  EXPECT_FALSE(node.inputs()[1]);
}

TEST(Tape, AsksForNoGradientOfAConstant) {
  const Variable a = leaf(make({1}, {1})), constant(make({2}, {1}));
  Tape tape;
  const Variable y = record(test::kToyProduct, {&constant, &a}, make({2}, {1}),
                            [](const Tensor& g, Gradients& grads) {
                              EXPECT_FALSE(grads.needed(0));
                              EXPECT_TRUE(grads.needed(1));
                              grads.set(0, make({1, 2, 3}, {3}));  // ignored, whatever it is
                              grads.set(1, g);
                            });
  tape.backward(y);
  EXPECT_EQ(a.grad().item(), 1);
}

TEST(Tape, SkipsWhatTheRootDoesNotDependOn) {
  const Variable a = leaf(make({1}, {}));
  Tape tape;
  const Variable unused = with_rule(a, [](const Tensor&, Gradients&) { FAIL() << "was run"; });
  tape.backward(total(a));
  EXPECT_EQ(a.grad().item(), 1);
}

TEST(Tape, FreesEachRecordOnceItIsUsed) {
  const Variable a = leaf(make({1, 2}, {2}));
  Tensor seen_while_running;
  const Tensor saved = make({7}, {1});
  Tape tape;
  const Variable first = with_rule(a, [&](const Tensor& g, Gradients& grads) {
    EXPECT_TRUE(saved.is_exclusive());  // the later record, which holds it, is gone
    grads.set(0, g);
  });
  const Variable second = with_rule(first, [saved](const Tensor& g, Gradients& grads) {
    EXPECT_FALSE(saved.is_exclusive());
    grads.set(0, g);
  });
  EXPECT_FALSE(saved.is_exclusive());
  tape.backward(total(second));
  EXPECT_TRUE(tape.nodes().empty());
  EXPECT_TRUE(a.grad().defined());
}

// A rule that owns what arrives, and computes in its memory where nobody else can see it.
TEST(Tape, LetsARuleComputeInTheGradientThatArrivesWhereItIsItsOwn) {
  const auto doubled = [](const Variable& x, bool own) {
    return with_rule(x, [own](Tensor g, Gradients& grads) {
      EXPECT_EQ(g.is_exclusive(), own);
      if (!g.is_exclusive()) g = g.clone();
      for (std::int64_t i = 0; i < g.numel(); ++i) g.data<double>()[i] *= 2;
      grads.set(0, std::move(g));
    });
  };
  const auto passed_on = [](const Variable& x) {
    return with_rule(x, [](const Tensor& g, Gradients& grads) { grads.set(0, g.clone()); });
  };
  const Variable a = leaf(make({1, 2}, {2}));
  const Tensor seed = make({3, 4}, {2});
  Tape().backward(a, seed);
  const Tensor taken = a.grad();
  Tape tape;
  tape.backward(passed_on(doubled(passed_on(doubled(a, true)), true)), seed);
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(3 + 12, 4 + 16));
  Tape other;
  other.backward(doubled(a, false), seed);
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(15 + 6, 20 + 8));
  EXPECT_THAT(to_doubles(seed), ElementsAre(3, 4));
  EXPECT_THAT(to_doubles(taken), ElementsAre(3, 4));
}

TEST(Tape, RunsBackwardOnce) {
  const Variable a = leaf(make({1}, {}));
  Tape tape;
  const Variable loss = total(a);
  tape.backward(loss);
  EXPECT_EQ(error_of([&] { tape.backward(loss); }),
            "[backward] this tape has run backward already; record the forward pass again");
  EXPECT_EQ(error_of([&] { total(a); }),
            "[total] cannot be recorded on a tape that has run backward");
  EXPECT_EQ(a.grad().item(), 1);
}

TEST(Tape, NeedsASingleElementOrAGradient) {
  const Variable a = leaf(make({1, 2}, {2}));
  Tape tape;
  EXPECT_EQ(error_of([&] { tape.backward(a); }),
            "[backward] needs a single element, got (2,); sum it or give a grad_output");
  EXPECT_EQ(error_of([&] {
              tape.backward(a, make({1, 2}, {1, 2}));
            }),
            "[backward] grad_output is float64 (1, 2), the value float64 (2,)");
  EXPECT_EQ(error_of([&] {
              tape.backward(a, make({1, 2}, {2}, DType::kFloat32));
            }),
            "[backward] grad_output is float32 (2,), the value float64 (2,)");
  tape.backward(leaf(make({3}, {1, 1})));  // one element, whatever its rank
}

TEST(Tape, RefusesARootThatDependsOnNoLeaf) {
  Tape tape;
  EXPECT_EQ(
      error_of([&] { tape.backward(Variable(make({1}, {}))); }),
      "[backward] the value depends on nothing that takes gradients, or was computed while no "
      "tape was open");
}

TEST(Tape, RefusesValuesOfAnotherTape) {
  const Variable a = leaf(make({1}, {}));
  Tape outer;
  const Variable y = total(a);
  Tape inner;
  EXPECT_EQ(error_of([&] { total(y); }), "[total] got an input that another tape recorded");
  EXPECT_EQ(error_of([&] { inner.backward(y); }),
            "[backward] the value was not recorded on this tape");
}

TEST(Tape, NamesTheRuleWhoseGradientDoesNotFit) {
  const auto run = [](Tensor grad) {
    const Variable a = leaf(make({1, 2, 3}, {3}));
    Tape tape;
    const Variable y = with_rule(a, [&](const Tensor&, Gradients& grads) { grads.set(0, grad); });
    return error_of([&] { tape.backward(y, make({1, 1, 1}, {3})); });
  };
  EXPECT_EQ(run(make({1, 2}, {2})),
            "[toy] gave a gradient of float64 (2,) for input 0 of float64 (3,)");
  EXPECT_EQ(run(make({1}, {1})),
            "[toy] gave a gradient of float64 (1,) for input 0 of float64 (3,)");
  EXPECT_EQ(run(make({1, 2, 3}, {3}, DType::kFloat32)),
            "[toy] gave a gradient of float32 (3,) for input 0 of float64 (3,)");
  EXPECT_EQ(run(Tensor()), "[toy] gave no gradient for input 0");
  EXPECT_EQ(run(make({1, 2, 3}, {3})), "no error");
}

TEST(Tape, SumsTheGradientOfWhatWasBroadcast) {
  const Variable a = leaf(make({1, 2, 3, 4, 5, 6}, {2, 3})), b = leaf(make({1, 1, 1}, {3}));
  const Variable c = leaf(make({2}, {}));
  Tape tape;
  tape.backward(total(product(product(a, b), c)));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(2 * 5, 2 * 7, 2 * 9));
  EXPECT_EQ(b.grad().shape(), (Shape{3}));
  EXPECT_EQ(c.grad().shape(), Shape{});
  EXPECT_EQ(c.grad().item(), 21);
}

TEST(Tape, ChecksThatOutputsAreFiniteWhenAsked) {
  const Variable a = leaf(make({1, 2, 3, 0}, {2, 2}));
  const auto over = [&](double x) { return product(a, Variable(make({1, 1, 1, x}, {2, 2}))); };
  const double inf = std::numeric_limits<double>::infinity();
  {
    Tape careless;
    EXPECT_EQ(error_of([&] { over(inf); }), "no error");
  }
  FiniteCheck check;
  Tape careful(Tape::Options{.observer = &check});
  EXPECT_EQ(error_of([&] { over(1); }), "no error");
  EXPECT_THAT(error_of([&] { over(inf); }),
              ::testing::MatchesRegex("\\[product\\] gave -?nan at element 3 of \\(2, 2\\)"));
  EXPECT_EQ(error_of([&] {
              product(over(1), Variable(make({1, -inf, 1, 1}, {2, 2})));
            }),
            "[product] gave -inf at element 1 of (2, 2)");
}

TEST(Tape, ChecksThatGradientsAreFiniteWhenAsked) {
  const auto error = [](const std::vector<double>& gradient, SequenceMask mask) {
    const Variable a = leaf(make({1, 2, 3, 4}, {2, 2}), std::move(mask));
    FiniteCheck check;
    Tape tape(Tape::Options{.observer = &check});
    const Variable b = test::with_rule(a, [&](const Tensor&, Gradients& grads) {
      grads.set(0, make(gradient, {2, 2}));
    });
    return error_of([&] { tape.backward(test::total(b)); });
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(error({1, 2, 3, 4}, {}), "no error");
  EXPECT_EQ(error({1, 2, -nan, 4}, {}),
            "[toy] gave nan for the gradient of input 0 at element 2 of (2, 2)");
  EXPECT_EQ(error({1, 2, nan, 4}, SequenceMask(test::bits({1, 1, 0, 1}, {2, 2}))), "no error");
}

TEST(Tape, NamesTheLayerOfARuleThatFailsWhetherOrNotItHasAnObserver) {
  const auto error = [](TapeObserver* observer) {
    const Variable a = leaf(make({1, 2}, {2}));
    Tape tape(Tape::Options{.observer = observer});
    const auto fails = [](const Tensor&, Gradients&) { fail("toy", "is at a loss"); };
    const auto called_in = [&](const char* layer, const Variable& x, auto rule) {
      const Scope block("block0"), scope(layer);
      return test::with_rule(x, rule);
    };
    const auto passes_on = [](const Tensor& g, Gradients& grads) { grads.set(0, g); };
    const Variable b = called_in("dense", called_in("first", a, passes_on), fails);
    const Variable c = called_in("last", b, passes_on);
    return error_of([&] { tape.backward(test::total(c)); });
  };
  FiniteCheck check;
  EXPECT_EQ(error(&check), "[toy] in layer 'block0.dense': is at a loss");
  EXPECT_EQ(error(nullptr), "[toy] in layer 'block0.dense': is at a loss");
}

}  // namespace
}  // namespace maskgrad
