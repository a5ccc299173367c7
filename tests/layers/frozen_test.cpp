#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/frozen.hpp>
#include <maskgrad/layers/sequential.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::make;
using test::same_bits;
using test::to_doubles;
using ::testing::Each;

TEST(Frozen, GivesParametersNoGradientAndPassesThatOfValuesOn) {
  Dense layer(2, 3);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const Variable x = test::leaf(make({1, -2}, {1, 2}));
  const Tensor ones = Tensor::full({1, 3}, 1, DType::kFloat64);
  const test::PassResults free = test::run_pass(layer, parameters, x, ones);
  EXPECT_THAT(to_doubles(free.gradients), ::testing::Contains(1));
  {
    const Frozen frozen(layer);
    const test::PassResults still = test::run_pass(layer, parameters, x, ones);
    EXPECT_TRUE(same_bits(still.output.value(), free.output.value()));
    EXPECT_TRUE(same_bits(still.input_grad, free.input_grad));
    EXPECT_THAT(to_doubles(still.gradients), Each(0));
  }
  const test::PassResults again = test::run_pass(layer, parameters, x, ones);
  EXPECT_TRUE(same_bits(again.gradients, free.gradients));
}

TEST(Frozen, ChangesNothingWhereAParameterHasNoValue) {
  Sequential model;
  model.add<Dense>("a", 2, 3).add<Dense>("b", 3, 1);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const auto old = model.replace("b", std::make_unique<Dense>(3, 2));
  EXPECT_THAT(test::error_of([&] { const Frozen frozen(model); }),
              ::testing::HasSubstr("before it was given a value"));
  Tape tape;
  tape.backward(model.layer("a")(Variable(make({1, -2}, {1, 2}))),
                Tensor::full({1, 3}, 1, DType::kFloat64));
  EXPECT_THAT(to_doubles(parameters.gradients()), ::testing::Contains(1));
}

TEST(Frozen, SeesWhatTheBufferHolds) {
  Dense layer(1, 1);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const Variable x(make({1}, {1, 1}));
  const Frozen frozen(layer);
  Tensor(parameters.named_values().at("weight")).copy_from(make({7}, {1, 1}));
  EXPECT_EQ(layer(x).item(), 7);
}

// A pass may go backward after the object is gone.
TEST(Frozen, MayEndBeforeThePassDoes) {
  Dense layer(2, 3);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const Variable x = test::leaf(make({1, -2}, {1, 2}));
  Tape tape;
  Variable y;
  {
    const Frozen frozen(layer);
    y = layer(x);
  }
  tape.backward(y, Tensor::full({1, 3}, 1, DType::kFloat64));
  EXPECT_TRUE(x.grad().defined());
  EXPECT_THAT(to_doubles(parameters.gradients()), Each(0));
}

}  // namespace
}  // namespace maskgrad
