// What a tape reads later must not change until then.
#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/autograd/saved.hpp>
#include <maskgrad/tensor/scope.hpp>

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

TEST(WatchedMemory, IsChangedByEveryWayToWriteAndByNoneToRead) {
  const auto changes = [](const std::function<void(Tensor&)>& f) {
    Tensor x = make({1, 2, 3, 4}, {4});
    const Watched watched(x);
    f(x);
    return watched.is_changed();
  };
  EXPECT_TRUE(changes([](Tensor& x) { x.data<double>()[0] = 5; }));
  EXPECT_TRUE(changes([](Tensor& x) { x.raw_data(); }));
  EXPECT_TRUE(changes([](Tensor& x) { x.fill(1); }));
  EXPECT_TRUE(changes([](Tensor& x) { x.copy_from(make({5, 6, 7, 8}, {4})); }));
  EXPECT_TRUE(changes([](Tensor& x) { x.view(1, {2}).fill(0); })) << "a view of the same memory";
  EXPECT_TRUE(changes([](Tensor& x) { x.reshape({2, 2}).fill(0); }));
  EXPECT_TRUE(changes([](Tensor& x) { Variable(x).value().reshape({2, 2})[1].fill(0); }));

  EXPECT_FALSE(changes([](Tensor& x) { std::as_const(x).data<double>(); }));
  EXPECT_FALSE(changes([](Tensor& x) { x.values<double>(); }));
  EXPECT_FALSE(changes([](Tensor& x) { x.view(0, {}).item(); }));
  EXPECT_FALSE(changes([](Tensor& x) { x.clone().fill(0); }));
  EXPECT_FALSE(changes([](Tensor& x) { x.to(DType::kFloat32).fill(0); }));
  EXPECT_FALSE(changes([](Tensor& x) { x.copy_from(x); }));
  EXPECT_FALSE(changes([](Tensor& x) { x = make({1}, {1}); }));
}

TEST(WatchedMemory, IsWatchedByEachFromWhenItCame) {
  Tensor x = make({1}, {1});
  const Watched first(x);
  x.fill(2);
  const Watched second(x), same(x);
  EXPECT_TRUE(first.is_changed());
  EXPECT_FALSE(second.is_changed());
  x.fill(3);
  EXPECT_TRUE(first.is_changed());
  EXPECT_TRUE(second.is_changed());
  EXPECT_TRUE(same.is_changed());
  EXPECT_FALSE(Watched(x).is_changed());
  EXPECT_FALSE(Watched().is_changed());
}

TEST(WatchedMemory, MayBeWrittenToUnseen) {
  Tensor x = make({1}, {1});
  const Watched before(x);
  {
    const UnseenWrites unseen(x);
    x.fill(2);
  }
  EXPECT_FALSE(before.is_changed());
  x.fill(3);
  EXPECT_TRUE(before.is_changed());
}

TEST(ASavedValue, ThatWasWrittenToIsRefusedByTheRuleThatReadsIt) {
  const Variable a = leaf(make({1, 2}, {2})), b = leaf(make({3, 4}, {2}));
  Tape tape;
  const Variable y = test::product(a, b);
  Tensor value = b.value();
  value.data<double>()[1] = 9;
  EXPECT_EQ(error_of([&] {
              tape.backward(y, make({1, 1}, {2}));
            }),
            "[product] the value of input 'b' was written to after the forward pass, and its "
            "gradient needs it");
}

TEST(ATape, CanBePrintedAfterABackwardPassThatFailed) {
  const Variable a = leaf(make({1, 2}, {2})), b = leaf(make({3, 4}, {2}));
  Tape tape;
  const Variable y = test::product(test::product(a, a), b);
  Tensor value = b.value();
  value.fill(9);
  EXPECT_THAT(error_of([&] {
                tape.backward(y, make({1, 1}, {2}));
              }),
              ::testing::HasSubstr("was written to after the forward pass"));
  ASSERT_EQ(tape.nodes().size(), 1U);
  EXPECT_EQ(tape.to_string(std::vector<NamedLeaf>{{"w", a}}),
            "$1 = product(a: w, b: w) -> float64 (2,)\n");
}

TEST(ATape, CanBePrintedByWhoLooksOnAtItsBackwardPass) {
  struct Prints : TapeObserver {
    void on_output(const OpDef&, Tensor&, const SequenceMask&) override {}
    void on_gradient(const Node&, const std::string& layer, std::size_t, Tensor&) override {
      texts.push_back(layer + "\n" + tape->to_string());
    }
    const Tape* tape = nullptr;
    std::vector<std::string> texts;
  };
  Prints observer;
  const Variable a = leaf(make({1, 2}, {2})), one(make({1, 1}, {2}));
  Tape tape({.observer = &observer});
  observer.tape = &tape;
  const auto step = [&](const char* layer, const Variable& x) {
    const Scope scope(layer);
    return test::product(x, one);
  };
  tape.backward(step("last", step("first", a)), make({1, 1}, {2}));
  EXPECT_THAT(observer.texts,
              ElementsAre("last\n$1 = product(a: float64 (2,), b: constant) -> float64 (2,) in "
                          "'first'\n",
                          "first\n"));
}

TEST(ASavedValue, MayBeWrittenToWhenNoGradientNeedsIt) {
  const Variable a = leaf(make({1, 2}, {2})), b(make({3, 4}, {2}));
  Tape tape;
  const Variable y = test::product(a, b);
  Tensor value = a.value();  // the gradient of b would need it
  value.fill(7);
  tape.backward(y, make({1, 1}, {2}));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(3, 4));
}

TEST(ASavedValue, MayBeWrittenToAfterTheBackwardPass) {
  const Variable a = leaf(make({1, 2}, {2})), b = leaf(make({3, 4}, {2}));
  for (int step = 0; step < 3; ++step) {
    Tape tape;
    tape.backward(test::product(a, b), make({1, 1}, {2}));
    Tensor value = a.value();
    value.fill(step);
  }
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(1 + 0 + 1, 2 + 0 + 1));
}

// As checks do: what an operation gave is replaced before anything reads it.
TEST(ASavedOutput, MayBeWrittenToByAnObserverThatSeesItFirst) {
  struct Replaces : TapeObserver {
    void on_output(const OpDef&, Tensor& output, const SequenceMask&) override { output.fill(5); }
  };
  Replaces observer;
  const Variable a = leaf(make({1, 2}, {2}));
  Tape tape({.observer = &observer});
  const Tensor square = make({1, 4}, {2});
  const Variable y = record(test::kToyRule, {&a}, square,
                            [saved = Saved(test::kToyRule, "output", square)](
                                const Tensor&, Gradients& grads) { grads.set(0, saved->clone()); });
  tape.backward(y, make({1, 1}, {2}));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(5, 5));
}

TEST(ASavedOutput, ThatWasWrittenToIsNamedAsOne) {
  Tensor x = make({1}, {1});
  const Saved saved(test::kToyRule, "output", x);
  EXPECT_THAT(to_doubles(*saved), ElementsAre(1));
  x.fill(2);
  EXPECT_EQ(error_of([&] { return saved->rank(); }),
            "[toy] the value of output 'output' was written to after the forward pass, and its "
            "gradient needs it");
}

}  // namespace
}  // namespace maskgrad
