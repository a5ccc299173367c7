// Nothing but the one header for programs.
#include <gtest/gtest.h>

#include <maskgrad/maskgrad.hpp>

namespace maskgrad {
namespace {

TEST(MaskgradHeader, ReachesFromTensorsToRuns) {
  Dense layer(2, 1);
  ParameterBuffer parameters(layer, DType::kFloat32, 0);
  EXPECT_EQ(layer(Variable(Tensor::zeros({3, 2}, DType::kFloat32))).shape(), Shape({3, 1}));
  EXPECT_EQ(settings_of(TrainingOptions{.epochs = 4}).integer("epochs"), 4);
}

}  // namespace
}  // namespace maskgrad
