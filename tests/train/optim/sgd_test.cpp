#include <gtest/gtest.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/optim/sgd.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::kFloatingDTypes;
using test::to_doubles;
using test::uniform;

struct Vector : Module {
  Vector() { parameter("w", {20}, ones()); }
};

TEST(Sgd, FollowsItsGradientsWithMomentum) {
  Random random(1);
  for (const DType dtype : kFloatingDTypes) {
    for (const double momentum : {0.0, 0.9}) {
      Vector model;
      ParameterBuffer parameters(model, dtype, 1);
      Sgd sgd(parameters, momentum);
      std::vector<double> w(20, 1.0), u(20, 0.0);
      for (int step = 0; step < 30; ++step) {
        const Tensor gradient = uniform(random, {20});
        parameters.clear_gradients();
        Tape tape;
        tape.backward(parameters.entries()[0].parameter->variable(), gradient.to(dtype));
        const double lr = 0.1 / (1 + step);
        sgd.step(parameters, lr);
        for (std::size_t i = 0; i < w.size(); ++i) {
          u[i] = momentum * u[i] + gradient.data<double>()[i];
          w[i] -= lr * u[i];
        }
        EXPECT_TRUE(is_close(parameters.named_values().at("w"), w,
                             dtype == DType::kFloat64 ? 1e-14 : 1e-5));
      }
      EXPECT_EQ(sgd.steps(), 30);
      EXPECT_EQ(sgd.state().size(), 1U);
      EXPECT_TRUE(is_close(sgd.state().at("u").view(0, {20}), u, 1e-4));
    }
  }
}

TEST(Sgd, RefusesAMomentumThatIsNone) {
  Vector model;
  const ParameterBuffer parameters(model, DType::kFloat32, 1);
  for (const double momentum : {-0.1, test::kNaN, test::kInf, -test::kInf}) {
    EXPECT_EQ(error_of([&] { Sgd(parameters, momentum); }),
              fmt::format("[sgd] momentum must be finite and at least 0, not {}", momentum));
  }
}

// The gradient would be that of a product of the old values and the new.
TEST(Sgd, MayStepAfterTheBackwardPassAndNotBeforeIt) {
  Vector model;
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const Variable& w = parameters.entries()[0].parameter->variable();
  Sgd sgd(parameters, 0.0);
  const auto pass = [&](bool steps_early) {
    Tape tape;
    const Variable loss = ops::sum(ops::multiply(w, w));
    parameters.clear_gradients();
    if (steps_early) sgd.step(parameters, 0.1);
    tape.backward(loss);
    if (!steps_early) sgd.step(parameters, 0.1);
  };
  EXPECT_EQ(error_of([&] { pass(false); }), "no error");
  EXPECT_EQ(error_of([&] { pass(false); }), "no error");
  EXPECT_EQ(error_of([&] { pass(true); }),
            "[multiply] the value of input 'b' was written to after the forward pass, and its "
            "gradient needs it");
}

TEST(Sgd, LeavesParametersWithoutGradientToTheirMomentum) {
  Vector model;
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  Sgd sgd(parameters, 0.5);
  {
    Tape tape;
    tape.backward(parameters.entries()[0].parameter->variable(),
                  Tensor::full({20}, 1.0, DType::kFloat64));
  }
  sgd.step(parameters, 0.25);
  parameters.clear_gradients();
  sgd.step(parameters, 0.25);  // u is now 0.5
  EXPECT_EQ(to_doubles(parameters.named_values().at("w")), std::vector<double>(20, 0.625));
}

TEST(Sgd, RefusesParametersItWasNotMadeFor) {
  Vector model;
  ParameterBuffer parameters(model, DType::kFloat32, 1), wide(model, DType::kFloat64, 1);
  Sgd sgd(parameters);
  EXPECT_EQ(error_of([&] { sgd.step(wide, 0.1); }),
            "[sgd] was made for parameters float32 (32,), not float64 (32,)");
}

}  // namespace
}  // namespace maskgrad
