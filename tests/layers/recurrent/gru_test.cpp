// What a GRU alone has. The rest is in recurrent_layers_test.cpp.
#include <gmock/gmock.h>

#include <maskgrad/layers/recurrent/gru.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

TEST(Gru, NamesTheParametersOfEachLayerAndDirection) {
  Gru layer(5, 3, {.layers = 2, .bidirectional = true});
  EXPECT_THAT(test::names_and_shapes(layer),
              ::testing::ElementsAre(
                  "w_x1 (5, 9)", "w_h1 (3, 9)", "b_x1 (9,)", "b_h1 (9,)", "w_x1_reverse (5, 9)",
                  "w_h1_reverse (3, 9)", "b_x1_reverse (9,)", "b_h1_reverse (9,)", "w_x2 (6, 9)",
                  "w_h2 (3, 9)", "b_x2 (9,)", "b_h2 (9,)", "w_x2_reverse (6, 9)",
                  "w_h2_reverse (3, 9)", "b_x2_reverse (9,)", "b_h2_reverse (9,)"));
  // 3 (5 * 9 + 3 * 9 + 6 * 9 + 3 * 9) a direction
  EXPECT_EQ(layer.row_work(), (ops::Work{.per_position = 3 * 2 * (45 + 27 + 54 + 27)}));
}

TEST(Gru, RefusesOtherStates) {
  Gru layer(2, 3);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const auto zeros = [](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat64));
  };
  const std::vector<Variable> start = {zeros({1, 2})};
  Pass pass;
  EXPECT_EQ(test::error_of([&] {
              layer.run(zeros({1, 2, 2}), start, pass);
            }),
            "[gru] needs h (1, 3), got (1, 2)");
}

}  // namespace
}  // namespace maskgrad
