#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/feed_forward.hpp>
#include <maskgrad/layers/gates/prunable_feed_forward.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/check/gradients.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::Matrix;
using test::to_doubles;
using Drawn = test::Drawn<PrunableFeedForward>;

constexpr std::int64_t kFeatures = 3, kHidden = 4;

const bool kRegistered =
    register_layer({"PrunableFeedForward", [] {
                      return std::make_unique<PrunableFeedForward>(LayerSample::kFeatures, kHidden);
                    }});

// Gates 1 and 3 are open, 0 and 2 closed: at 0 a gate is closed.
void set_gates(const Drawn& drawn) {
  drawn.value("gates").copy_from(test::make({-1, 0.5, 0, 3}, {4}).to(drawn.parameters.dtype()));
}

TEST(PrunableFeedForward, MultipliesHiddenFeaturesByTheirGates) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const bool hard : {false, true}) {
      const Activation activation = hard ? Activation::kRelu : Activation::kGelu;
      Drawn drawn(random, dtype, kFeatures, kHidden,
                  PrunableFeedForwardOptions{.activation = activation, .hard = hard});
      set_gates(drawn);
      const Tensor x = test::uniform(random, {2, 3, kFeatures}).to(dtype);
      Matrix hidden =
          test::activated(activation, test::affine(test::rows(x), drawn.parameters, "w1", "b1"));
      const std::vector<double> gates = to_doubles(drawn.value("gates"));
      for (auto& row : hidden) {
        for (std::size_t f = 0; f < kHidden; ++f) {
          row[f] *= hard ? (gates[f] > 0 ? 1 : 0) : test::logistic(gates[f]);
        }
      }
      EXPECT_TRUE(is_close(drawn.layer(Variable(x)).value(),
                           test::flat(test::affine(hidden, drawn.parameters, "w2", "b2")),
                           8 * test::tolerance(dtype)));
    }
  }
}

TEST(PrunableFeedForward, GivesHardGatesTheGradientOfSigmoidAndTheOthersTheirSlope) {
  Random random(2);
  Drawn drawn(random, DType::kFloat64, kFeatures, kHidden,
              PrunableFeedForwardOptions{.hard = true});
  set_gates(drawn);
  const Tensor x = test::uniform(random, {2, 3, kFeatures});
  const auto loss = [&] {
    const Variable y = drawn.layer(Variable(x));
    return ops::sum(ops::multiply(y, y));
  };
  const std::vector<NamedLeaf> all = drawn.parameters.leaves();
  std::vector<NamedLeaf> leaves = all;
  std::erase_if(leaves, [](const NamedLeaf& leaf) { return leaf.name == "gates"; });
  EXPECT_TRUE(check_gradients(loss, leaves).holds());

  // Of y^2 summed: with g = 2 y w2^T, da_f = sigmoid'(a_f) sum over rows of h_f g_f.
  const Matrix hidden =
      test::activated(Activation::kGelu, test::affine(test::rows(x), drawn.parameters, "w1", "b1"));
  const Matrix y = test::rows(drawn.layer(Variable(x)).value());
  const Tensor w2 = drawn.value("w2"), gates = drawn.value("gates");
  std::vector<double> expected(kHidden, 0);
  for (std::size_t f = 0; f < kHidden; ++f) {
    const double s = test::logistic(gates.values<double>()[f]);
    for (std::size_t row = 0; row < y.size(); ++row) {
      for (std::size_t d = 0; d < kFeatures; ++d) {
        expected[f] +=
            2 * y[row][d] * w2.values<double>()[f * kFeatures + d] * hidden[row][f] * s * (1 - s);
      }
    }
  }
  drawn.parameters.clear_gradients();
  Tape tape;
  tape.backward(loss());
  const auto gate_leaf = std::ranges::find(all, "gates", &NamedLeaf::name);
  EXPECT_TRUE(is_close(gate_leaf->leaf.grad(), expected, 1e-13));
}

TEST(PrunableFeedForward, HardensToAFeedForwardOfWhatIsOpenWithTheSameResult) {
  Random random(3);
  for (const Activation activation : {Activation::kGelu, Activation::kRelu}) {
    Drawn drawn(random, DType::kFloat64, kFeatures, kHidden,
                PrunableFeedForwardOptions{.activation = activation, .hard = true});
    set_gates(drawn);
    const Hardened hard = drawn.layer.harden().value();
    EXPECT_EQ(hard.says, "keeps 2 of 4 hidden features");
    EXPECT_EQ(hard.layer->kind(), "FeedForward");
    ParameterBuffer parameters(*hard.layer, DType::kFloat64, 1);
    parameters.load(hard.values);
    EXPECT_EQ(hard.layer->row_work()->per_position, drawn.layer.row_work()->per_position / 2);
    const Tensor x = test::uniform(random, {2, 3, kFeatures});
    EXPECT_TRUE(is_close((*hard.layer)(Variable(x)).value(),
                         to_doubles(drawn.layer(Variable(x)).value()), 1e-14));
  }
}

TEST(PrunableFeedForward, StartsOpenAndCountsWhatIsOpen) {
  PrunableFeedForward layer(kFeatures, kHidden, {.start = 1});
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  EXPECT_THAT(to_doubles(parameters.named_values().at("gates")), ::testing::Each(1));
  EXPECT_TRUE(is_close(layer.open_features().value(), {4 * test::logistic(1)}, 1e-15));
  for (const char* name : {"w1", "w2"}) test::expect_glorot(parameters.named_values().at(name));
}

TEST(PrunableFeedForward, IsSoundAtExtremesAndWithoutPositions) {
  const auto make = [] { return std::make_unique<PrunableFeedForward>(kFeatures, kHidden); };
  test::expect_sound(make, kFeatures);
}

TEST(PrunableFeedForward, RefusesWhatItCannotDo) {
  EXPECT_EQ(error_of([] { PrunableFeedForward(0, 2); }),
            "[PrunableFeedForward] needs features and hidden above 0, got 0 and 2");
  EXPECT_EQ(error_of([] { PrunableFeedForward(2, 2, {.start = test::kInf}); }),
            "[PrunableFeedForward] needs gates that start finite, got inf");
  Random random(5);
  Drawn drawn(random, DType::kFloat32, kFeatures, kHidden);
  drawn.value("gates").fill(-1);
  EXPECT_EQ(error_of([&] { drawn.layer.harden(); }),
            "[PrunableFeedForward] all 4 hidden features are closed");
  drawn.value("gates")[1].fill(NAN);
  EXPECT_EQ(error_of([&] { drawn.layer.harden(); }), "[PrunableFeedForward] a gate is NaN");
}

}  // namespace
}  // namespace maskgrad
