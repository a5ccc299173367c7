#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/gates/gate.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kNaN;
using test::make;
using test::Matrix;
using test::to_doubles;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr std::int64_t kFeatures = LayerSample::kFeatures;
constexpr GateOptions kEach = {.each_feature = true};
constexpr GateOptions kTanh = {.activation = Activation::kTanh, .bias = 0.5};

test::MakeLayer maker(const GateOptions& options) {
  return [options] { return std::make_unique<Gate>(kFeatures, options); };
}

// A gate that reads x and lets a function of it pass.
class Gated : public Layer {
 public:
  Gated()
      : Layer("Gated", MaskRule::kKeeps),
        gate_(submodule("gate", std::make_unique<Gate>(kFeatures))),
        value_(submodule("value", std::make_unique<Dense>(kFeatures, 3, ops::tanh))) {}
  std::optional<ops::Work> row_work() const override { return gate_.row_work(); }

 protected:
  Variable forward(const Variable& x, Pass& pass) override {
    return gate_.gate(x, value_(x, pass), pass);
  }

 private:
  Gate& gate_;
  Dense& value_;
};

const bool kRegistered =
    register_layer({"Gate", maker({})}) &&
    register_layer({"GateOfAnother", [] { return std::make_unique<Gated>(); }}) &&
    register_layer({"GateOfEachFeature", maker(kEach)}) &&
    register_layer({"TanhGate", maker(kTanh)});

Matrix naive(const Tensor& x, const Tensor& v, const ParameterBuffer& parameters,
             const GateOptions& options) {
  const Matrix logits = test::affine(test::rows(x), parameters, "w", "b");
  return test::times(test::rows(v), test::activated(options.activation, logits));
}

TEST(Gate, MultipliesAValueByWhatItsInputSays) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const bool each : {false, true}) {
      for (const Activation activation : {Activation::kSigmoid, Activation::kTanh}) {
        const GateOptions options = {.activation = activation, .each_feature = each};
        test::Drawn<Gate> drawn(random, dtype, kFeatures, options);
        const Tensor x = test::uniform(random, {2, 3, kFeatures}).to(dtype);
        const Tensor v = test::uniform(random, {2, 3, each ? kFeatures : 2}).to(dtype);
        Pass pass;
        EXPECT_TRUE(test::is_close(drawn.layer(Variable(x)).value(),
                                   test::flat(naive(x, x, drawn.parameters, options))));
        EXPECT_TRUE(test::is_close(drawn.layer.gate(Variable(x), Variable(v), pass).value(),
                                   test::flat(naive(x, v, drawn.parameters, options))));
      }
    }
  }
}

TEST(Gate, SendsItsGradientToInputAndValue) {
  for (const GateOptions& options : {GateOptions(), kEach, kTanh}) {
    Random random(2);
    test::Drawn<Gate> drawn(random, DType::kFloat64, kFeatures, options);
    const Variable x = test::leaf(test::uniform(random, {2, 3, kFeatures}));
    const Variable v = test::leaf(test::uniform(random, {2, 3, kFeatures}));
    std::vector<test::NamedLeaf> leaves = drawn.parameters.leaves();
    leaves.push_back({"x", x});
    leaves.push_back({"v", v});
    Pass pass;
    EXPECT_TRUE(test::gradients_agree([&] { return drawn.layer.gate(x, v, pass); }, leaves));
  }
}

TEST(Gate, ReadsNoHoleOfTheInputThoughTheValueCarriesNoMask) {
  Gate layer(2);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const SequenceMask mask = test::mask_of({1, 0}, {1, 2});
  const Variable x = test::leaf(make({1, 2, kNaN, kNaN}, {1, 2, 2}), mask);
  const Variable v = test::leaf(make({3, kNaN}, {1, 2, 1}));
  Pass pass;
  Tape tape;
  const Variable y = layer.gate(x, v, pass);
  EXPECT_TRUE(y.mask().defined());
  tape.backward(y, make({1, kNaN}, {1, 2, 1}));
  EXPECT_EQ(to_doubles(v.grad())[1], 0);
  for (const double gradient : to_doubles(parameters.gradients()))
    EXPECT_FALSE(gradient != gradient);
}

TEST(Gate, IsHalfOpenAtFirstOrAsItsBiasSays) {
  const Variable x(Tensor::zeros({3, kFeatures}, DType::kFloat64));
  const auto opening = [&](const GateOptions& options) {
    Gate layer(kFeatures, options);
    const ParameterBuffer parameters(layer, DType::kFloat64, 1);
    EXPECT_THAT(to_doubles(parameters.named_values().at("b")), Each(options.bias));
    test::expect_glorot(parameters.named_values().at("w"));
    return to_doubles(layer.opening(x).value());
  };
  EXPECT_THAT(opening({}), ElementsAre(0.5, 0.5, 0.5));
  EXPECT_THAT(opening(kEach), Each(0.5));
  EXPECT_EQ(opening(kEach).size(), 15u);
  EXPECT_THAT(opening(kTanh), Each(::testing::DoubleNear(std::tanh(0.5), 1e-15)));
}

TEST(Gate, OpensAgainThoughItWasClosed) {
  Gate layer(1, {.bias = -30});
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Tensor(parameters.named_values().at("w")).copy_from(make({0}, {1, 1}));
  const auto results =
      test::run_pass(layer, parameters, Variable(make({2}, {1, 1})), make({1}, {1, 1}));
  const double slope = test::logistic(-30) * (1 - test::logistic(-30));
  EXPECT_TRUE(test::is_close(parameters.named_pieces(results.gradients).at("b"), {2 * slope}));
  EXPECT_GT(to_doubles(parameters.named_pieces(results.gradients).at("w"))[0], 0);
}

TEST(Gate, IsSoundStackedAtExtremesAndWithoutPositions) {
  for (const GateOptions& options : {GateOptions(), kEach, kTanh}) {
    test::expect_sound(maker(options), kFeatures);
  }
}

TEST(Gate, RefusesOtherFunctionsAndValuesThatDoNotFit) {
  EXPECT_EQ(error_of([] { Gate(0); }), "[Gate] needs features above 0, got 0");
  EXPECT_EQ(error_of([] { Gate(3, {.activation = Activation::kRelu}); }),
            "[Gate] needs sigmoid or tanh, got relu");
  EXPECT_EQ(error_of([] { Gate(3, {.bias = test::kInf}); }), "[Gate] needs a finite bias, got inf");
  Gate layer(3), each(3, kEach);
  const ParameterBuffer a(layer, DType::kFloat64, 1), b(each, DType::kFloat64, 1);
  const auto zeros = [](const Shape& shape, SequenceMask mask = {}) {
    return Variable(Tensor::zeros(shape, DType::kFloat64), Variable::kConstant, std::move(mask));
  };
  const auto said = [&](const Gate& gate, const Variable& x, const Variable& v) {
    Pass pass;
    return error_of([&] { gate.gate(x, v, pass); });
  };
  EXPECT_EQ(error_of([&] { layer.opening(zeros({2, 4})); }), "[Gate] needs [..., 3], got (2, 4)");
  EXPECT_EQ(said(layer, zeros({2, 4}), zeros({2, 4})), "[Gate] needs [..., 3], got (2, 4)");
  EXPECT_EQ(said(layer, zeros({2, 3}), zeros({1, 3})),
            "[Gate] (1, 3) is no value for the gates of (2, 3)");
  EXPECT_EQ(said(layer, zeros({2, 3}), zeros({3})),
            "[Gate] (3,) is no value for the gates of (2, 3)");
  EXPECT_EQ(said(each, zeros({2, 3}), zeros({2, 1})), "[Gate] needs a value of 3 features, got 1");
  EXPECT_EQ(said(layer, zeros({1, 2, 3}), zeros({1, 2, 3}, test::mask_of({1, 0}, {1, 2}))),
            "[Gate] a value carries a mask, and the input of the gate none");
  EXPECT_EQ(said(layer, zeros({2, 3}), Variable()),
            "[Gate] the value was used before it was given a value");
  EXPECT_EQ(said(layer, Variable(), zeros({2, 3})),
            "[Gate] its input was used before it was given a value");
  EXPECT_EQ(error_of([&] { layer.opening(Variable()); }),
            "[Gate] its input was used before it was given a value");
  EXPECT_EQ(said(layer, zeros({2, 3}), zeros({2, 7})), "no error");
}

}  // namespace
}  // namespace maskgrad
