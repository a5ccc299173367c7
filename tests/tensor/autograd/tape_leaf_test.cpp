// How gradients gather in leaves, and which tape records.
#include <memory>
#include <thread>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::leaf;
using test::make;
using test::product;
using test::to_doubles;
using test::total;
using ::testing::Each;
using ::testing::ElementsAre;

// y = a + 3 b, each gradient written into the memory that the tape offers.
Variable add_in_buffers(const Variable& a, const Variable& b) {
  Tensor y = a.value().clone();
  for (int i = 0; i < 3; ++i) add_into(y, b.value());
  return record(test::kToyRule, {&a, &b}, y, [](const Tensor& g, Gradients& grads) {
    if (grads.needed(0)) grads.buffer(0).copy_from(g);
    if (!grads.needed(1)) return;
    Tensor into = grads.buffer(1);
    for (std::int64_t i = 0; i < g.numel(); ++i) into.data<double>()[i] = 3 * g.data<double>()[i];
  });
}

TEST(Leaf, GathersTheGradientsOfAllItsUses) {
  const Variable a = leaf(make({3, 4}, {2}));
  Tape tape;
  tape.backward(total(product(product(a, a), a)));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(27, 48));
}

TEST(Leaf, GathersTheGradientsOfSeveralTapes) {
  Variable a = leaf(make({3, 4}, {2}));
  for (int i = 0; i < 2; ++i) {
    Tape tape;
    tape.backward(total(product(a, a)));
  }
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(12, 16));
  a.clear_grad();
  Tape tape;
  tape.backward(total(a));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(1, 1));
}

TEST(Leaf, DoesNotChangeAGradientThatWasTakenEarlier) {
  const Variable a = leaf(make({3, 4}, {2}));
  Tape().backward(a, make({1, 2}, {2}));
  const Tensor taken = a.grad();
  Tape().backward(a, make({1, 2}, {2}));
  EXPECT_THAT(to_doubles(taken), ElementsAre(1, 2));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(2, 4));
}

TEST(Leaf, DoesNotShareAGradientThatGrows) {
  const Variable a = leaf(make({1, 2}, {2})), b = leaf(make({3, 4}, {2}));
  const Tensor grad_output = make({10, 20}, {2});
  Tape tape;
  // The rule hands the same tensor to both leaves.
  const Variable y =
      record(test::kToyRule, {&a, &b}, make({4, 6}, {2}), [](const Tensor& g, Gradients& grads) {
        grads.set(0, g);
        grads.set(1, g);
      });
  tape.backward(product(y, a), grad_output);
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(10 * (1 + 4), 20 * (2 + 6)));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(10, 40));
  EXPECT_THAT(to_doubles(grad_output), ElementsAre(10, 20));
}

// y = a + b, whose rule gives one tensor to both.
Variable add(const Variable& a, const Variable& b) {
  Tensor y = a.value().clone();
  add_into(y, b.value());
  return record(test::kToyRule, {&a, &b}, y, [](const Tensor& g, Gradients& grads) {
    grads.set(0, g);
    grads.set(1, g);
  });
}

TEST(Leaf, MayHaveItsGradientWrittenToWithoutChangingAnother) {
  const Variable a = leaf(make({1, 2}, {2})), b = leaf(make({3, 4}, {2}));
  const Tensor grad_output = make({10, 20}, {2});
  Tape tape;
  tape.backward(add(a, b), grad_output);
  a.grad().fill(99);
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(99, 99));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(10, 20));
  EXPECT_THAT(to_doubles(grad_output), ElementsAre(10, 20));
  b.grad().fill(-1);
  EXPECT_THAT(to_doubles(grad_output), ElementsAre(10, 20));
}

TEST(Leaf, SharesNoGradientWithTheRootThatItIs) {
  const Variable a = leaf(make({1, 2}, {2}));
  const Tensor grad_output = make({10, 20}, {2});
  Tape().backward(a, grad_output);
  a.grad().fill(0);
  EXPECT_THAT(to_doubles(grad_output), ElementsAre(10, 20));
}

TEST(Leaf, SharesNoGradientWithWhatARuleKeeps) {
  const Variable a = leaf(make({1, 2}, {2}));
  const Tensor kept = make({5, 6}, {2});
  const auto pass = [&] {
    Tape tape;
    tape.backward(test::with_rule(
                      a, [&](const Tensor&, Gradients& grads) { grads.set(0, kept.reshape({2})); }),
                  make({1, 1}, {2}));
  };
  pass();
  a.grad().fill(0);
  EXPECT_THAT(to_doubles(kept), ElementsAre(5, 6));
}

class BoundLeaf : public ::testing::Test {
 protected:
  void SetUp() override { a.bind(Tensor::zeros({2}, DType::kFloat64), buffer); }
  Tensor buffer = Tensor::full({2}, 99, DType::kFloat64);
  Variable a = leaf(make({3, 4}, {2}));
  Variable b = leaf(make({5, 6}, {2}));
};

TEST_F(BoundLeaf, HasItsGradientWrittenInPlace) {
  Tape tape;
  const Variable y =
      record(test::kToyRule, {&a}, make({1, 1}, {2}), [&](const Tensor& g, Gradients& grads) {
        EXPECT_TRUE(grads.buffer(0).is_same_view(buffer));
        grads.buffer(0).copy_from(g);
      });
  tape.backward(y, make({1, 2}, {2}));
  EXPECT_THAT(to_doubles(buffer), ElementsAre(1, 2));
}

TEST_F(BoundLeaf, GetsBothGradientsWhenItIsAnInputTwice) {
  Tape tape;
  tape.backward(add_in_buffers(a, a), make({1, 2}, {2}));
  EXPECT_THAT(to_doubles(buffer), ElementsAre(4, 8));
}

TEST_F(BoundLeaf, GathersTheGradientsOfAllItsUses) {
  Tape tape;
  // y = (a + 3 b) + 3 (a + 3 a) = 13 a + 3 b
  const Variable y = add_in_buffers(add_in_buffers(a, b), add_in_buffers(a, a));
  tape.backward(product(y, a), make({1, 1}, {2}));
  EXPECT_THAT(to_doubles(buffer), ElementsAre(2 * 13 * 3 + 3 * 5, 2 * 13 * 4 + 3 * 6));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(3 * 3, 3 * 4));
}

TEST_F(BoundLeaf, GathersTheGradientsOfSeveralTapes) {
  for (int i = 0; i < 3; ++i) {
    Tape tape;
    tape.backward(add_in_buffers(a, b), make({1, 2}, {2}));
  }
  EXPECT_THAT(to_doubles(buffer), ElementsAre(3, 6));
}

TEST(NoGrad, RecordsNothing) {
  const Variable a = leaf(make({1}, {}));
  Tape tape;
  {
    const NoGrad no_grad;
    EXPECT_EQ(Tape::current(), nullptr);
    EXPECT_FALSE(total(a).requires_grad());
  }
  EXPECT_EQ(Tape::current(), &tape);
  EXPECT_TRUE(tape.nodes().empty());
  EXPECT_TRUE(total(a).requires_grad());
}

TEST(NoGrad, HoldsWhileATapeRunsBackward) {
  const Variable a = leaf(make({1}, {}));
  Tape tape;
  const Variable y = test::with_rule(a, [&](const Tensor& g, Gradients& grads) {
    EXPECT_FALSE(product(a, a).requires_grad());
    grads.set(0, g);
  });
  tape.backward(y);
}

TEST(NestedTapes, RecordOnTheInnermost) {
  const Variable a = leaf(make({2}, {}));
  EXPECT_EQ(Tape::current(), nullptr);
  EXPECT_FALSE(total(a).requires_grad());
  Tape outer;
  const Variable y = product(a, a);
  {
    Tape inner;
    EXPECT_EQ(Tape::current(), &inner);
    inner.backward(total(a));
    EXPECT_EQ(outer.nodes().size(), 1U);
  }
  EXPECT_EQ(Tape::current(), &outer);
  outer.backward(y);
  EXPECT_EQ(a.grad().item(), 1 + 4);
}

// Objects that hold a tape each may end in any order.
TEST(NestedTapes, MayEndInAnyOrder) {
  const Variable a = leaf(make({2}, {}));
  auto outer = std::make_unique<Tape>(), middle = std::make_unique<Tape>(),
       inner = std::make_unique<Tape>();
  middle.reset();
  EXPECT_EQ(Tape::current(), inner.get());
  outer.reset();
  EXPECT_EQ(Tape::current(), inner.get());
  inner->backward(total(a));
  EXPECT_EQ(a.grad().item(), 1);
  inner.reset();
  EXPECT_EQ(Tape::current(), nullptr);
  EXPECT_FALSE(total(a).requires_grad());
}

TEST(NoGrad, MayEndBeforeOrAfterTheTapesAroundIt) {
  const Variable a = leaf(make({2}, {}));
  auto outer = std::make_unique<Tape>();
  auto no_grad = std::make_unique<NoGrad>();
  outer.reset();
  EXPECT_EQ(Tape::current(), nullptr);
  Tape inner;
  EXPECT_TRUE(total(a).requires_grad());
  no_grad.reset();
  EXPECT_EQ(Tape::current(), &inner);
  inner.backward(total(a));
  EXPECT_EQ(a.grad().item(), 1);
}

TEST(Tape, BelongsToItsThread) {
  Tape tape;
  std::thread([] {
    EXPECT_EQ(Tape::current(), nullptr);
    const Variable a = leaf(make({2}, {}));
    Tape own;
    own.backward(total(a));
    EXPECT_EQ(a.grad().item(), 1);
  }).join();
  EXPECT_EQ(Tape::current(), &tape);
}

}  // namespace
}  // namespace maskgrad
