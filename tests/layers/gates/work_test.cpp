#include <gtest/gtest.h>

#include <maskgrad/layers/feed_forward.hpp>
#include <maskgrad/layers/gates/gated_feed_forward.hpp>
#include <maskgrad/layers/gates/glu.hpp>
#include <maskgrad/layers/gates/highway.hpp>
#include <maskgrad/layers/gates/softmax_gate.hpp>

#include "layers/gates/gate_support.hpp"

namespace maskgrad {
namespace {

template <class L, class... Args>
test::MakeLayer maker(Args... args) {
  return [=] { return std::make_unique<L>(args...); };
}

TEST(WorkOfGates, IsThatOfTheirMatrices) {
  const GatedFeedForwardOptions two_gates = {.gates = {true, true}};
  for (const test::MakeLayer& make :
       {maker<Gate>(5), maker<Gate>(5, GateOptions{.each_feature = true}), maker<Highway>(5),
        maker<Glu>(5, 3), maker<SoftmaxGate>(5, 3), maker<FeedForward>(5, 7),
        maker<FeedForward>(5, 7, FeedForwardOptions{.gated = true}),
        maker<GatedFeedForward>(5, 4, two_gates)}) {
    const std::unique_ptr<Layer> layer = make();
    const ParameterBuffer parameters(*layer, DType::kFloat32, 1);
    std::int64_t elements = 0;
    for (const auto& [name, value] : parameters.named_values()) {
      if (value.rank() == 2) elements += value.numel();
    }
    EXPECT_EQ(layer->row_work(), ops::Work{.per_position = 3 * elements}) << layer->kind();
  }
}

}  // namespace
}  // namespace maskgrad
