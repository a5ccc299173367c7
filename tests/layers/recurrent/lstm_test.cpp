// What an LSTM alone has. The rest is in recurrent_layers_test.cpp.
#include <gmock/gmock.h>

#include <maskgrad/layers/recurrent/lstm.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::to_doubles;

TEST(Lstm, OpensItsForgetGatesByTheBias) {
  Lstm closed(5, 3, {.forget_bias = 0}), open(5, 3, {.forget_bias = 2});
  const ParameterBuffer without(closed, DType::kFloat64, 1), with(open, DType::kFloat64, 1);
  for (const auto& [name, value] : without.named_values()) {
    std::vector<double> expected = to_doubles(value);
    if (name == "b1") {
      for (std::size_t j = 3; j < 6; ++j) expected[j] += 2;
    }
    EXPECT_EQ(to_doubles(with.named_values().at(name)), expected) << name;
  }
}

TEST(Lstm, NamesTheParametersOfEachLayerAndDirection) {
  Lstm layer(5, 3, {.layers = 2, .bidirectional = true});
  EXPECT_THAT(test::names_and_shapes(layer),
              ::testing::ElementsAre(
                  "w_x1 (5, 12)", "w_h1 (3, 12)", "b1 (12,)", "w_x1_reverse (5, 12)",
                  "w_h1_reverse (3, 12)", "b1_reverse (12,)", "w_x2 (6, 12)", "w_h2 (3, 12)",
                  "b2 (12,)", "w_x2_reverse (6, 12)", "w_h2_reverse (3, 12)", "b2_reverse (12,)"));
  // 3 (5 * 12 + 3 * 12 + 6 * 12 + 3 * 12) a direction
  EXPECT_EQ(layer.row_work(), (ops::Work{.per_position = 3 * 2 * (60 + 36 + 72 + 36)}));
}

TEST(Lstm, RefusesABiasThatIsNoNumberAndOtherStates) {
  EXPECT_EQ(error_of([] { Lstm(2, 3, {.forget_bias = test::kNaN}); }),
            "[Lstm] needs a finite forget_bias, got nan");
  Lstm layer(2, 3);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const auto zeros = [](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat64));
  };
  const std::vector<ops::LstmState> start = {{zeros({1, 3}), zeros({1, 2})}};
  Pass pass;
  EXPECT_EQ(error_of([&] {
              layer.run(zeros({1, 2, 2}), start, pass);
            }),
            "[lstm] needs c (1, 3), got (1, 2)");
}

}  // namespace
}  // namespace maskgrad
