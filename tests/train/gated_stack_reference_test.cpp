// A training of gated layers against PyTorch's (tests/data/gated_stack.safetensors, which
// tests/reference/gated_stack.py describes).
#include <cmath>

#include <gtest/gtest.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/gates/gated_feed_forward.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/pytorch_training.hpp"

namespace maskgrad {
namespace {

constexpr std::int64_t kFeatures = 4, kHidden = 6, kClasses = 3;

const test::Tensors& fixture() {
  static const test::Tensors tensors = load_tensors(test::test_data("gated_stack.safetensors"));
  return tensors;
}

const GatedFeedForwardOptions kTwo = {
    .gates = {true, true}, .gate = {.each_feature = true}, .shortcut = Shortcut::kResidual};

struct GatedStack : Sequential {
  explicit GatedStack(const GatedFeedForwardOptions& two = kTwo) {
    add<GatedFeedForward>("one", kFeatures, kHidden);
    add<GatedFeedForward>("two", kHidden, kHidden, two);
    add<Dense>("logits", kHidden, kClasses);
  }
  test::Logits logits() {
    return [this, x = fixture().at("x").to(DType::kFloat64)](std::span<const std::int32_t> ids) {
      Pass pass = Pass::training(0, 0);
      return (*this)(Variable(test::rows_of(x, ids)), pass);
    };
  }
};

TEST(GatedStackReference, TwoHundredStepsHavePyTorchsLossesAndWeights) {
  GatedStack model;
  test::expect_pytorchs_training(model, fixture(), model.logits());
}

// What a training would show of layers that compute something else from the same parameters.
TEST(GatedStackReference, AnotherStackHasOtherLosses) {
  const auto differs = [](const char* what, const GatedFeedForwardOptions& two) {
    GatedStack model(two);
    const auto found = test::train_as_pytorch(model, fixture(), model.logits()).losses;
    const std::vector<double> expected = test::to_doubles(fixture().at("losses"));
    EXPECT_GT(std::abs(found[0] - expected[0]), 1e-3) << what;
  };
  GatedFeedForwardOptions tanh_gates = kTwo, skips = kTwo, no_shortcut = kTwo;
  tanh_gates.gate.activation = Activation::kTanh;
  skips.shortcut = Shortcut::kSkip;
  no_shortcut.shortcut = Shortcut::kNone;
  differs("gates of tanh", tanh_gates);
  differs("a skip around each layer", skips);
  differs("no shortcut", no_shortcut);
}

}  // namespace
}  // namespace maskgrad
