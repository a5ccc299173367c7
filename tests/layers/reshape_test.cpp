#include <cmath>

#include <gtest/gtest.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::gradients_agree;
using test::leaf;
using test::make;
using test::mask_of;
using test::same_bits;
using test::to_doubles;
using test::uniform;

std::unique_ptr<Layer> flat() {
  return std::make_unique<Reshape>(
      std::vector<std::int64_t>{LayerSample::kLength * LayerSample::kFeatures});
}
const bool kRegistered = register_layer({"Reshape", flat, /*any_length=*/false});

TEST(Reshape, KeepsTheBatchAndTheOrderOfTheElements) {
  Random random(1);
  const Tensor x = uniform(random, {2, 3, 4});
  const std::pair<std::vector<std::int64_t>, Shape> cases[] = {
      {{12}, {2, 12}}, {{-1}, {2, 12}}, {{4, 3}, {2, 4, 3}}, {{2, -1, 2}, {2, 2, 3, 2}}};
  for (const auto& [dims, shape] : cases) {
    const Variable y = Reshape(dims)(Variable(x));
    EXPECT_EQ(y.shape(), shape);
    EXPECT_EQ(to_doubles(y.value()), to_doubles(x));
  }
}

TEST(Reshape, EndsTheMaskAndFillsItsHolesWithZeros) {
  const Tensor x = make({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2});
  const SequenceMask mask = mask_of({1, 0, 0, 1}, {2, 2});
  Tensor poisoned = x.clone();
  fill_holes(poisoned, mask, std::nan(""));
  const Variable y = Reshape({4})(Variable(poisoned, Variable::kConstant, mask));
  EXPECT_FALSE(y.mask().defined());
  EXPECT_EQ(to_doubles(y.value()), (std::vector<double>{1, 2, 0, 0, 0, 0, 7, 8}));
  EXPECT_EQ(to_doubles(poisoned)[6], 7) << "the input is left alone";
  EXPECT_TRUE(std::isnan(to_doubles(poisoned)[2]));
}

TEST(Reshape, SendsGradientsBackToTheirPlacesAndNoneToHoles) {
  Random random(2);
  Reshape reshape({2, -1});
  for (const SequenceMask& mask : {SequenceMask(), mask_of({1, 0, 1, 0, 1, 1}, {2, 3})}) {
    const Variable x = leaf(uniform(random, {2, 3, 4}), mask);
    EXPECT_TRUE(gradients_agree([&] { return reshape(x); }, {{"x", x}}));
  }
}

TEST(Reshape, RefusesDimensionsThatDoNotFit) {
  const Variable x(Tensor::zeros({2, 3, 4}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { Reshape({5})(x); }).substr(0, 9), "[reshape]");
  EXPECT_EQ(error_of([&] { Reshape({5, -1})(x); }).substr(0, 9), "[reshape]");
  EXPECT_EQ(error_of([&] { Reshape({1})(Variable(Tensor::zeros({}, DType::kFloat32))); }),
            "[Reshape] needs a batch, got ()");
}

}  // namespace
}  // namespace maskgrad
