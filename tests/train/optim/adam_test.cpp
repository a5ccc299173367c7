#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/optim/adam.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::kFloatingDTypes;
using test::make;
using test::to_doubles;
using test::uniform;

constexpr std::size_t kSize = 12;

// A model of one parameter [3, 4].
struct Vector : Module {
  Vector() { parameter("w", {3, 4}, glorot_uniform()); }
};

// Leaves `gradient` in the parameter.
void set_gradient(ParameterBuffer& parameters, const Tensor& gradient) {
  parameters.clear_gradients();
  Tape tape;
  tape.backward(parameters.entries()[0].parameter->variable(), gradient.to(parameters.dtype()));
}

Tensor weights(const ParameterBuffer& parameters) { return parameters.named_values().at("w"); }

// Gradients from large to far below eps, for that is where the two forms part.
Tensor gradient_of_step(Random& random) {
  Tensor gradient = uniform(random, {3, 4});
  for (std::size_t i = 0; i < kSize; ++i) gradient.data<double>()[i] *= std::pow(10.0, -double(i));
  return gradient;
}

struct ByHand {
  std::vector<double> w, m = std::vector<double>(kSize), v = std::vector<double>(kSize);
  double b1, b2, eps;
  int t = 0;

  // The update of keras/optimizers/adam.py.
  void keras_step(const std::vector<double>& g, double lr) {
    ++t;
    const double alpha = lr * std::sqrt(1 - std::pow(b2, t)) / (1 - std::pow(b1, t));
    for (std::size_t i = 0; i < kSize; ++i) {
      m[i] = m[i] + (g[i] - m[i]) * (1 - b1);
      v[i] = v[i] + (g[i] * g[i] - v[i]) * (1 - b2);
      w[i] = w[i] - m[i] * alpha / (std::sqrt(v[i]) + eps);
    }
  }
  // The update of torch.optim.Adam, as its documentation writes it.
  void pytorch_step(const std::vector<double>& g, double lr) {
    ++t;
    for (std::size_t i = 0; i < kSize; ++i) {
      m[i] = b1 * m[i] + (1 - b1) * g[i];
      v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
      const double m_hat = m[i] / (1 - std::pow(b1, t)), v_hat = v[i] / (1 - std::pow(b2, t));
      w[i] -= lr * m_hat / (std::sqrt(v_hat) + eps);
    }
  }
};

void compare(Adam::Form form, DType dtype, const Adam::Options& options, double tolerance) {
  Vector model;
  ParameterBuffer parameters(model, dtype, 1);
  Adam adam(parameters, {options.beta1, options.beta2, options.eps, form});
  ByHand by_hand{.w = to_doubles(weights(parameters)),
                 .b1 = options.beta1,
                 .b2 = options.beta2,
                 .eps = options.eps};
  Random random(3);
  for (int step = 0; step < 50; ++step) {
    const Tensor gradient = gradient_of_step(random);
    const double lr = 0.1 / (1 + step);
    set_gradient(parameters, gradient);
    adam.step(parameters, lr);
    form == Adam::Form::kKeras ? by_hand.keras_step(to_doubles(gradient), lr)
                               : by_hand.pytorch_step(to_doubles(gradient), lr);
    EXPECT_TRUE(is_close(weights(parameters), by_hand.w, tolerance)) << step;
  }
  EXPECT_EQ(adam.steps(), 50);
}

TEST(Adam, IsKerassInItsKerasForm) {
  compare(Adam::Form::kKeras, DType::kFloat64, {}, 1e-13);
  compare(Adam::Form::kKeras, DType::kFloat64, {.beta1 = 0.5, .beta2 = 0.9, .eps = 1e-3}, 1e-13);
  compare(Adam::Form::kKeras, DType::kFloat32, {}, 1e-4);
}

TEST(Adam, IsPyTorchsInItsPyTorchForm) {
  compare(Adam::Form::kPyTorch, DType::kFloat64, {}, 1e-13);
  compare(Adam::Form::kPyTorch, DType::kFloat64, {.beta1 = 0.5, .beta2 = 0.9, .eps = 1e-3}, 1e-13);
  compare(Adam::Form::kPyTorch, DType::kFloat32, {}, 1e-4);
}

// One weight 1 and the gradients 1e-7, -2e-7, 1.
std::vector<double> three_steps(Adam::Form form) {
  struct One : Module {
    One() { parameter("w", {}, ones()); }
  } model;
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  Adam adam(parameters, {.form = form});
  std::vector<double> path;
  for (const double gradient : {1e-7, -2e-7, 1.0}) {
    set_gradient(parameters, Tensor::full({}, gradient, DType::kFloat64));
    adam.step(parameters, 0.1);
    path.push_back(weights(parameters).item());
  }
  return path;
}

// Constants: the two formulas in decimal arithmetic of 40 digits.
TEST(Adam, ComparesEpsWithAnotherRootInEachForm) {
  const std::vector<double> keras = three_steps(Adam::Form::kKeras);
  const std::vector<double> pytorch = three_steps(Adam::Form::kPyTorch);
  const double expected_keras[] = {0.996934656996828449, 0.999352211175604931,
                                   0.935471059569948222};
  const double expected_pytorch[] = {0.95, 0.972427858072616926, 0.908546515516062860};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(keras[i], expected_keras[i], 1e-14) << i;
    EXPECT_NEAR(pytorch[i], expected_pytorch[i], 1e-14) << i;
  }
}

TEST(Adam, RemembersTwoMomentsOfTheBuffersShape) {
  Vector model;
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  Adam adam(parameters);
  set_gradient(parameters, Tensor::full({3, 4}, 2.0, DType::kFloat64));
  adam.step(parameters, 0.1);
  const auto state = adam.state();
  ASSERT_EQ(state.size(), 2U);
  EXPECT_EQ(state.at("m").shape(), parameters.values().shape());
  EXPECT_TRUE(is_close(state.at("m").view(0, {12}), std::vector<double>(kSize, 0.2), 1e-15));
  EXPECT_TRUE(
      is_close(state.at("r").view(0, {12}), std::vector<double>(kSize, std::sqrt(0.004)), 1e-15));
}

TEST(Adam, GoesOnFromARestoredState) {
  Vector model, other;
  ParameterBuffer parameters(model, DType::kFloat64, 1), copied(other, DType::kFloat64, 2);
  Adam adam(parameters), restored(copied);
  Random random(5);
  for (int step = 0; step < 4; ++step) {
    if (step == 2) {
      copied.values().copy_from(parameters.values());
      for (auto& [name, tensor] : restored.state()) {
        Tensor target = tensor;
        target.copy_from(adam.state().at(name));
      }
      restored.set_steps(adam.steps());
    }
    const Tensor gradient = uniform(random, {3, 4});
    set_gradient(parameters, gradient);
    adam.step(parameters, 0.1);
    if (step < 2) continue;
    set_gradient(copied, gradient);
    restored.step(copied, 0.1);
    EXPECT_TRUE(is_identical(parameters.values(), copied.values()));
  }
}

TEST(Adam, RefusesParametersItWasNotMadeFor) {
  Vector model;
  Dense other(20, 3);
  ParameterBuffer parameters(model, DType::kFloat32, 1), wide(model, DType::kFloat64, 1),
      larger(other, DType::kFloat32, 1);
  Adam adam(parameters);
  EXPECT_EQ(error_of([&] { adam.step(wide, 0.1); }),
            "[adam] was made for parameters float32 (16,), not float64 (16,)");
  EXPECT_EQ(error_of([&] { adam.step(larger, 0.1); }),
            "[adam] was made for parameters float32 (16,), not float32 (80,)");
}

}  // namespace
}  // namespace maskgrad
