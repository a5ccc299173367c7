#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/stretch.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

const bool kRegistered =
    register_layer({"Stretch", [] { return std::make_unique<Stretch>(LayerSample::kFeatures); }});

TEST(Stretch, MultipliesEachFeatureByItsFactor) {
  Stretch layer(2);
  ParameterBuffer parameters(layer, DType::kFloat64, /*seed=*/0);
  parameters.load({{"weight", test::make({10, -1}, {2})}});
  const Variable y = layer(Variable(test::make({1, 2, 3, 4}, {2, 2})));
  EXPECT_THAT(test::to_doubles(y.value()), ::testing::ElementsAre(10, -2, 30, -4));
}

TEST(Stretch, RefusesAnotherNumberOfFeatures) {
  Stretch layer(2);
  const ParameterBuffer parameters(layer, DType::kFloat64, /*seed=*/0);
  EXPECT_EQ(test::error_of([&] {
              layer(Variable(test::make({1, 2, 3}, {3})));
            }),
            "[multiply] shapes do not broadcast: (3,) and (2,)");
}

}  // namespace
}  // namespace maskgrad
