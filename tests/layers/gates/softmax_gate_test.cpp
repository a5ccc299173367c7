#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/gates/softmax_gate.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kNaN;
using test::make;
using test::Matrix;
using test::to_doubles;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr std::int64_t kFeatures = LayerSample::kFeatures, kCandidates = 3;

std::unique_ptr<Layer> softmax_gate() {
  return std::make_unique<SoftmaxGate>(kFeatures, kCandidates);
}

// Candidates x * c_k, the second of which is closed.
class Mixture : public Layer {
 public:
  Mixture()
      : Layer("Mixture", MaskRule::kKeeps),
        gate_(submodule("gate", std::make_unique<SoftmaxGate>(kFeatures, kCandidates))),
        c_(parameter("c", {kCandidates, kFeatures}, normal(0, 1))) {}
  std::optional<ops::Work> row_work() const override { return gate_.row_work(); }

 protected:
  Variable forward(const Variable& x, Pass& pass) override {
    const Shape shape = x.shape().slice(0, 2).concat({1, kFeatures});
    const Variable values = ops::multiply(ops::reshape(x, shape.dims()), c_);
    return gate_.mix(x, values, pass, test::bits({1, 0, 1}, {kCandidates}));
  }

 private:
  SoftmaxGate& gate_;
  Parameter& c_;
};
std::unique_ptr<Layer> mixture() { return std::make_unique<Mixture>(); }

const bool kRegistered =
    register_layer({"SoftmaxGate", softmax_gate}) && register_layer({"SoftmaxGateMixes", mixture});

// The shares of each row of x among the candidates that are open for it.
Matrix naive(const Tensor& x, const ParameterBuffer& parameters, const std::vector<double>& open) {
  Matrix g = test::product(test::rows(x), test::weights(parameters, "w"));
  for (std::size_t i = 0; i < g.size(); ++i) {
    for (std::size_t k = 0; k < g[i].size(); ++k) {
      g[i][k] = open[i * g[i].size() + k] != 0 ? std::exp(g[i][k]) : 0;
    }
    const double total = std::accumulate(g[i].begin(), g[i].end(), 0.0);
    for (double& share : g[i]) share = total > 0 ? share / total : 0;
  }
  return g;
}

TEST(SoftmaxGate, SharesByTheSoftmaxOfItsInputAndMixesByTheShares) {
  Random random(1);
  const std::vector<double> all(12, 1), some = {1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0};
  for (const DType dtype : test::kFloatingDTypes) {
    for (const auto& open : {all, some}) {
      test::Drawn<SoftmaxGate> drawn(random, dtype, kFeatures, kCandidates);
      SoftmaxGate& layer = drawn.layer;
      const Tensor x = test::uniform(random, {2, 2, kFeatures}).to(dtype);
      const Tensor values = test::uniform(random, {2, 2, kCandidates, 2}).to(dtype);
      const Tensor keep = test::bits(open, {2, 2, kCandidates});
      const Matrix g = naive(x, drawn.parameters, open), v = test::rows(values);
      Matrix y(4, std::vector<double>(2));
      for (std::size_t i = 0; i < 12; ++i) {
        for (std::size_t j = 0; j < 2; ++j) y[i / 3][j] += g[i / 3][i % 3] * v[i][j];
      }
      Pass pass;
      const Variable in(x);
      EXPECT_TRUE(test::is_close(layer.shares(in, keep).value(), test::flat(g)));
      EXPECT_TRUE(
          test::is_close(layer.mix(in, Variable(values), pass, keep).value(), test::flat(y)));
      if (open != all) continue;
      EXPECT_TRUE(test::same_bits(layer(in).value(), layer.shares(in).value()));
      EXPECT_TRUE(test::is_close(layer(in).value(), test::flat(g)));
    }
  }
}

TEST(SoftmaxGate, SendsGradientsToInputValuesAndWeightsOfOpenCandidates) {
  Random random(2);
  test::Drawn<SoftmaxGate> drawn(random, DType::kFloat64, kFeatures, kCandidates);
  const Variable x = test::leaf(test::uniform(random, {2, 2, kFeatures}));
  const Variable values = test::leaf(test::uniform(random, {2, 2, kCandidates, 4}));
  std::vector<test::NamedLeaf> leaves = drawn.parameters.leaves();
  leaves.push_back({"x", x});
  leaves.push_back({"values", values});
  for (const Tensor& open :
       {Tensor(), test::bits({1, 1, 0}, {3}), test::bits({1, 0, 1, 0, 0, 0}, {2, 1, 3})}) {
    Pass pass;
    const auto mixed = [&] { return drawn.layer.mix(x, values, pass, open); };
    EXPECT_TRUE(test::gradients_agree(mixed, leaves));
  }
}

TEST(SoftmaxGate, ReadsNothingOfAClosedCandidate) {
  SoftmaxGate layer(2, 3);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  // The weights of the closed candidate are poison too.
  Tensor(parameters.named_values().at("w")).copy_from(make({1, kNaN, 0, 0, kNaN, 1}, {2, 3}));
  const Variable x(make({0, 0}, {1, 2}));
  const Variable values = test::leaf(make({1, test::kInf, 5}, {1, 3, 1}));
  Pass pass;
  Tape tape;
  const Variable y = layer.mix(x, values, pass, test::bits({1, 0, 1}, {3}));
  tape.backward(y, make({1}, {1, 1}));
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(3));
  EXPECT_THAT(to_doubles(values.grad()), ElementsAre(0.5, 0, 0.5));
}

TEST(SoftmaxGate, IsZeroWhereNoCandidateIsOpenAndSendsNothingBack) {
  SoftmaxGate layer(kFeatures, kCandidates);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Random random(3);
  const Variable x = test::leaf(test::uniform(random, {2, kFeatures}));
  const Variable values = test::leaf(test::uniform(random, {2, kCandidates, 2}));
  Pass pass;
  Tape tape;
  const Variable y = layer.mix(x, values, pass, test::bits({0, 0, 0}, {kCandidates}));
  tape.backward(y, Tensor::full(y.shape(), 1, DType::kFloat64));
  EXPECT_THAT(to_doubles(y.value()), Each(0));
  EXPECT_THAT(to_doubles(x.grad()), Each(0));
  EXPECT_THAT(to_doubles(values.grad()), Each(0));
  EXPECT_THAT(to_doubles(parameters.gradients()), Each(0));
}

TEST(SoftmaxGate, SharesEquallyAtFirstForAnInputOfZero) {
  SoftmaxGate layer(kFeatures, kCandidates);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  test::expect_glorot(parameters.named_values().at("w"));
  const Variable x(Tensor::zeros({2, kFeatures}, DType::kFloat64));
  EXPECT_THAT(to_doubles(layer(x).value()), Each(DoubleNear(1.0 / 3, 1e-15)));
}

TEST(SoftmaxGate, IsSoundStackedAtExtremesAndWithoutPositions) {
  for (const test::MakeLayer& make : {test::MakeLayer(softmax_gate), test::MakeLayer(mixture)}) {
    test::expect_nothing_of_nothing(make, kFeatures);
    test::expect_finite_at_extremes(make, kFeatures);
  }
  test::expect_gradients(mixture, kFeatures);
  // As many candidates as features, so that one gate can follow another.
  test::expect_sound([] { return std::make_unique<SoftmaxGate>(kFeatures, kFeatures); }, kFeatures);
}

TEST(SoftmaxGate, GivesAllToTheFirstOfLogitsThatAreFarApart) {
  SoftmaxGate layer(1, 2);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Tensor(parameters.named_values().at("w")).copy_from(make({1, -1}, {1, 2}));
  EXPECT_THAT(to_doubles(layer(Variable(make({1e4, -1e4}, {2, 1}))).value()),
              ElementsAre(1, 0, 0, 1));
}

TEST(SoftmaxGate, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of([] { SoftmaxGate(0, 2); }),
            "[SoftmaxGate] needs features and candidates above 0, got 0 and 2");
  EXPECT_EQ(error_of([] { SoftmaxGate(2, 0); }),
            "[SoftmaxGate] needs features and candidates above 0, got 2 and 0");
  SoftmaxGate layer(2, 3);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const auto zeros = [](const Shape& shape, SequenceMask mask = {}) {
    return Variable(Tensor::zeros(shape, DType::kFloat64), Variable::kConstant, std::move(mask));
  };
  const auto said = [&](const Variable& x, const Variable& values, const Tensor& open = {}) {
    Pass pass;
    return error_of([&] { layer.mix(x, values, pass, open); });
  };
  EXPECT_EQ(said(zeros({4, 3}), zeros({4, 3, 5})), "[SoftmaxGate] needs [..., 2], got (4, 3)");
  EXPECT_EQ(said(zeros({4, 2}), zeros({4, 2, 5})),
            "[SoftmaxGate] (4, 2, 5) are no values for shares (4, 3)");
  EXPECT_EQ(said(zeros({4, 2}), zeros({4, 3})),
            "[SoftmaxGate] (4, 3) are no values for shares (4, 3)");
  EXPECT_EQ(said(zeros({1, 2, 2}), zeros({1, 2, 3, 4}, test::mask_of({1, 0}, {1, 2}))),
            "[SoftmaxGate] a value carries a mask, and the input of the gate none");
  EXPECT_EQ(said(zeros({4, 2}), Variable()),
            "[SoftmaxGate] values was used before it was given a value");
  EXPECT_EQ(error_of([&] { layer.shares(Variable()); }),
            "[SoftmaxGate] its input was used before it was given a value");
  EXPECT_NE(said(zeros({4, 2}), zeros({4, 3, 5}), test::bits({1, 0}, {2})), "no error");
  EXPECT_NE(said(zeros({4, 2}), zeros({4, 3, 5}), make({1, 0, 1}, {3})), "no error");
  EXPECT_EQ(said(zeros({4, 2}), zeros({4, 3, 5}), test::bits({1, 0, 1}, {3})), "no error");
}

}  // namespace
}  // namespace maskgrad
