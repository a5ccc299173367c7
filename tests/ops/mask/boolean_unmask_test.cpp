#include <gmock/gmock.h>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::kEveryDType;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::random_bits;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

// A tensor of zeros.
Variable values_of(const Shape& shape, DType dtype = DType::kFloat64) {
  return Variable(Tensor::zeros(shape, dtype));
}

TEST(BooleanUnmask, DoesWhatCaffe2sExamplesDo) {
  for (const DType dtype : kEveryDType) {
    const Tensor apart[] = {bits({1, 0, 0, 0, 0, 0}, {6}), bits({0, 1, 0, 1, 0, 0}, {6}),
                            bits({0, 0, 1, 0, 1, 1}, {6})};
    const Variable values[] = {Variable(make({1}, {1}, dtype)), Variable(make({2, 4}, {2}, dtype)),
                               Variable(make({3, 5, 6}, {3}, dtype))};
    EXPECT_TRUE(same_bits(ops::boolean_unmask(apart, values).value(),
                          make({1, 2, 3, 4, 5, 6}, {6}, dtype)));
    const Tensor over[] = {bits({1, 0}, {2}), bits({1, 1}, {2})};
    const Variable one_each[] = {Variable(make({1}, {1}, dtype)), Variable(make({2}, {1}, dtype))};
    EXPECT_TRUE(same_bits(ops::boolean_unmask(over, one_each).value(), make({1, 2}, {2}, dtype)));
  }
}

TEST(BooleanUnmask, PlacesTheNextValueOfTheFirstTrueMaskAndSendsItsGradientBack) {
  Random random(2);
  for (const Shape& shape : {Shape{7}, Shape{5, 3}, Shape{4, 2, 3}, Shape{1, 1}, Shape{0, 2}}) {
    const Tensor masks[] = {random_bits(random, {shape[0]}, 0.3),
                            random_bits(random, {shape[0]}, 0.5),
                            Tensor::full({shape[0]}, 1, DType::kBool)};
    std::vector<Tensor> owned(3, Tensor::zeros({shape[0]}, DType::kBool));
    for (Tensor& mine : owned) mine = mine.clone();
    for (std::int64_t n = 0; n < shape[0]; ++n) {
      std::size_t first = 0;
      while (!masks[first].data<bool>()[n]) ++first;
      owned[first].data<bool>()[n] = true;
    }
    const auto rows = [](const Tensor& x, const Tensor& mask) {
      return ops::boolean_mask(Variable(x), mask).output.value();
    };
    const Tensor expected = test::uniform(random, shape), g = test::uniform(random, shape);
    std::vector<Variable> values;
    for (const Tensor& mine : owned) values.push_back(leaf(rows(expected, mine)));
    Tape tape;
    const Variable y = ops::boolean_unmask(masks, values);
    EXPECT_TRUE(same_bits(y.value(), expected));
    tape.backward(y, g);
    for (std::size_t i = 0; i < owned.size(); ++i) {
      EXPECT_TRUE(same_bits(values[i].grad(), rows(g, owned[i])));
    }
  }
}

TEST(BooleanUnmask, LetsNoRowOfTheGradientTouchAnother) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable first = leaf(make({kNaN}, {1}, dtype)), second = leaf(make({2, 3}, {2}, dtype));
    const Tensor masks[] = {bits({0, 1, 0}, {3}), bits({1, 1, 1}, {3})};
    const Variable values[] = {first, second};
    Tape tape;
    const Variable y = ops::boolean_unmask(masks, values);
    EXPECT_TRUE(same_bits(y.value(), make({2, kNaN, 3}, {3}, dtype)));
    tape.backward(y, make({4, kInf, kNaN}, {3}, dtype));
    EXPECT_TRUE(same_bits(first.grad(), make({kInf}, {1}, dtype)));
    EXPECT_TRUE(same_bits(second.grad(), make({4, kNaN}, {2}, dtype)));
  }
}

TEST(BooleanUnmask, RefusesMasksAndValuesThatDoNotFit) {
  const auto error = [](const std::vector<Tensor>& masks, const std::vector<Variable>& values) {
    return error_of([&] { ops::boolean_unmask(masks, values); });
  };
  const Tensor some = bits({1, 0, 1}, {3}), all = bits({1, 1, 1}, {3});
  const Variable one = values_of({1}), two = values_of({2}), three = values_of({3});
  const std::string starts = "[boolean_unmask] ";
  EXPECT_EQ(error({}, {}), starts +
                               "needs as many values as masks, and one at least: got 0 masks and 0 "
                               "values");
  EXPECT_EQ(error({some, all}, {two}), starts +
                                           "needs as many values as masks, and one at least: got 2 "
                                           "masks and 1 values");
  EXPECT_EQ(error({some, bits({1}, {1})}, {two, one}),
            starts + "mask 1 has 1 places, mask 0 has 3");
  EXPECT_EQ(error({some, bits({1, 1, 1}, {1, 3})}, {two, one}),
            starts + "a mask must be bool [N], got bool (1, 3)");
  EXPECT_EQ(error({some}, {two}), starts + "no mask is true at place 1");
  EXPECT_EQ(error({some, all}, {two, three}),
            starts + "mask 1 is the first true one at 1 places, but there are 3 values for it");
  EXPECT_EQ(error({some, all}, {two, values_of({1, 2})}),
            starts + "values 1 are float64 (1, 2), values 0 float64 (2,): rows must be the same");
  EXPECT_EQ(error({some, all}, {two, values_of({1}, DType::kFloat32)}),
            starts + "values 1 are float32 (1,), values 0 float64 (2,): rows must be the same");
  EXPECT_EQ(error({all}, {values_of({})}), starts + "values 0 must have rows, got a scalar");
  const Variable masked(Tensor::zeros({3, 1}, DType::kFloat32), {},
                        SequenceMask(bits({1, 0, 1}, {3, 1})));
  EXPECT_EQ(error({all}, {masked}),
            starts + "values 0 carry a mask, which has no place in the output; drop_mask() it");
}

TEST(UnmaskFill, SendsTheKeptRowsOfTheGradientBack) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable values = leaf(make({1, 2, 3, 4}, {2, 2}, dtype));
    Tape tape;
    const Variable y = ops::unmask_fill(values, bits({0, 1, 0, 1}, {4}), -kInf);
    EXPECT_THAT(to_doubles(y.value()), ElementsAre(-kInf, -kInf, 1, 2, -kInf, -kInf, 3, 4));
    tape.backward(y, make({kNaN, kInf, 5, 6, kNaN, kNaN, 7, 8}, {4, 2}, dtype));
    EXPECT_TRUE(same_bits(values.grad(), make({5, 6, 7, 8}, {2, 2}, dtype)));
  }
}

TEST(UnmaskFill, RefusesValuesThatAreNotAsManyAsTheTrues) {
  const Tensor mask = bits({1, 0, 1}, {3});
  EXPECT_EQ(error_of([&] {
              ops::unmask_fill(values_of({3, 2}), mask);
            }),
            "[unmask_fill] the mask keeps 2 of 3 places, but the values are (3, 2)");
  EXPECT_EQ(error_of([&] { ops::unmask_fill(values_of({}), mask); }),
            "[unmask_fill] the mask keeps 2 of 3 places, but the values are ()");
  EXPECT_EQ(error_of([&] { ops::unmask_fill(values_of({2}), bits({1}, {})); }),
            "[unmask_fill] a mask must be bool [N], got bool ()");
}

TEST(UnmaskFill, RefusesAFillThatTheDTypeDoesNotHold) {
  const Variable values(Tensor::zeros({1}, DType::kInt32));
  EXPECT_EQ(error_of([&] {
              ops::unmask_fill(values, test::bits({1, 0}, {2}), 0.5);
            }),
            "[unmask_fill] fill 0.5 is no int32");
}

}  // namespace
}  // namespace maskgrad
