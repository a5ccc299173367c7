#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::leaf;
using test::make;
using ::testing::ElementsAre;

TEST(Variable, IsAHandleOfAValue) {
  EXPECT_FALSE(Variable().defined());
  const Variable x(make({1, 2, 3, 4, 5, 6}, {2, 3}));
  EXPECT_TRUE(x.defined());
  EXPECT_FALSE(x.requires_grad());
  EXPECT_EQ(x.shape(), (Shape{2, 3}));
  EXPECT_EQ(x.rank(), 2);
  EXPECT_EQ(x.dim(-1), 3);
  EXPECT_EQ(x.dtype(), DType::kFloat64);
  const Variable copy = x;
  EXPECT_TRUE(copy.value().is_same_view(x.value()));
}

TEST(Variable, TakesGradientsForFloatingValuesOnly) {
  EXPECT_TRUE(leaf(make({1}, {1}, DType::kFloat32)).requires_grad());
  EXPECT_EQ(error_of([] { leaf(make({1}, {1}, DType::kInt64)); }),
            "[variable] only floating values take gradients, not int64");
  EXPECT_EQ(error_of([] { leaf(make({1}, {1}, DType::kBool)); }),
            "[variable] only floating values take gradients, not bool");
}

TEST(Variable, CarriesAMaskThatFitsItsFirstDimensions) {
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  EXPECT_TRUE(Variable(Tensor::zeros({2, 3, 4}, DType::kFloat32), {}, mask).mask() == mask);
  EXPECT_TRUE(Variable(Tensor::zeros({2, 3}, DType::kInt64), {}, mask).mask() == mask);
  EXPECT_EQ(error_of([&] {
              Variable(Tensor::zeros({3, 2}, DType::kFloat32), {}, mask);
            }),
            "[variable] a mask of (2, 3) does not fit a value of (3, 2)");
  EXPECT_EQ(error_of([&] { Variable(Tensor::zeros({2}, DType::kFloat32), {}, mask); }),
            "[variable] a mask of (2, 3) does not fit a value of (2,)");
}

TEST(Variable, LosesItsMaskOnPurposeOnly) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable x = leaf(make({1, 2}, {1, 2}), mask);
  const Variable bare = drop_mask(x);
  EXPECT_FALSE(bare.mask().defined());
  EXPECT_TRUE(bare.requires_grad());
  EXPECT_TRUE(bare.value().is_same_view(x.value()));
  EXPECT_TRUE(x.mask().defined());
}

TEST(Variable, HasNoGradientBeforeOneArrives) {
  const Variable x = leaf(make({1}, {}));
  EXPECT_FALSE(x.grad().defined());
  const std::string none = "[variable] takes no gradient";
  Variable constant(make({1}, {}));
  EXPECT_EQ(error_of([&] { constant.grad(); }), none);
  EXPECT_EQ(error_of([&] { constant.clear_grad(); }), none);
}

TEST(Variable, SharesItsGradientWithItsCopiesAndForgetsItWhenCleared) {
  Variable x = leaf(make({1}, {}));
  const Variable copy = x;
  Tape().backward(x, 2.5);
  EXPECT_EQ(copy.grad().item(), 2.5);
  x.clear_grad();
  EXPECT_FALSE(copy.grad().defined());
}

TEST(Variable, MovesIntoTheBuffersItIsBoundTo) {
  const Tensor values = Tensor::zeros({4}, DType::kFloat64);
  const Tensor grads = Tensor::full({4}, 9, DType::kFloat64);
  Variable x = leaf(make({1, 2}, {2}));
  Tape().backward(x, make({3, 3}, {2}));
  x.bind(values.view(1, {2}), grads.view(1, {2}));
  EXPECT_THAT(values.values<double>(), ElementsAre(0, 1, 2, 0));
  EXPECT_TRUE(x.value().is_same_view(values.view(1, {2})));
  EXPECT_FALSE(x.grad().defined());  // neither the former nor what stood in the buffer

  Tape().backward(x, make({5, 6}, {2}));
  EXPECT_THAT(grads.values<double>(), ElementsAre(9, 5, 6, 9));
  EXPECT_TRUE(x.grad().is_same_view(grads.view(1, {2})));
  x.clear_grad();
  EXPECT_FALSE(x.grad().defined());
  Tape().backward(x, make({7, 8}, {2}));
  EXPECT_THAT(grads.values<double>(), ElementsAre(9, 7, 8, 9));
}

TEST(Variable, IsBoundToBuffersOfItsOwnKindOnly) {
  Variable x = leaf(make({1, 2}, {2}));
  EXPECT_EQ(error_of([&] {
              x.bind(Tensor::zeros({3}, DType::kFloat64), Tensor::zeros({2}, DType::kFloat64));
            }),
            "[variable] a buffer of float64 (3,) does not fit a leaf of float64 (2,)");
  Variable constant(make({1, 2}, {2}));
  EXPECT_EQ(error_of([&] {
              constant.bind(Tensor::zeros({2}, DType::kFloat64),
                            Tensor::zeros({2}, DType::kFloat64));
            }),
            "[variable] only a leaf can be bound to a buffer");
}

// Its value would not move with the one that is bound.
TEST(Variable, IsNotBoundWhileACopyOrATapeHoldsIt) {
  const auto bind = [](Variable& x) {
    return error_of(
        [&] { x.bind(Tensor::zeros({2}, DType::kFloat64), Tensor::zeros({2}, DType::kFloat64)); });
  };
  const std::string refused =
      "[variable] a copy or a tape holds this leaf and would keep its old value; bind it before it "
      "is used";
  Variable x = leaf(make({1, 2}, {2}));
  {
    const Variable copy = x, another = drop_mask(x);
    EXPECT_EQ(bind(x), refused);
  }
  {
    Tape tape;
    record(test::kToyRule, {&x}, make({1, 2}, {2}), [](const Tensor&, Gradients&) {});
    EXPECT_EQ(bind(x), refused);
  }
  EXPECT_THAT(x.value().values<double>(), ElementsAre(1, 2));
  EXPECT_EQ(bind(x), "no error");
  EXPECT_THAT(x.value().values<double>(), ElementsAre(1, 2));
}

TEST(Variable, NamesTheBufferThatDoesNotFit) {
  Variable x = leaf(make({1, 2}, {2}));
  EXPECT_EQ(error_of([&] {
              x.bind(Tensor::zeros({2}, DType::kFloat64), Tensor::zeros({2}, DType::kFloat32));
            }),
            "[variable] a buffer of float32 (2,) does not fit a leaf of float64 (2,)");
}

}  // namespace
}  // namespace maskgrad
