// Recurrent layers against PyTorch's results on packed sequences, and trainings of them
// (tests/data/recurrent, which tests/reference/recurrent.py describes).
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/recurrent/gru.hpp>
#include <maskgrad/layers/recurrent/lstm.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/pytorch_training.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::leaf;
using test::rows_of;
using test::Tensors;
using test::test_data;
using test::to_doubles;
using test::under;

constexpr std::int64_t kFeatures = 3, kHidden = 5, kClasses = 3;

Tensors fixture(const std::string& name) {
  return load_tensors(test_data("recurrent") / (name + ".safetensors"));
}

SequenceMask mask_of(const Tensor& lengths, std::int64_t length) {
  return SequenceMask::from_lengths(lengths.values<std::int64_t>(), length);
}

// The states of all directions, each a leaf of its own.
std::vector<Variable> leaves_of(const Tensor& states) {
  std::vector<Variable> leaves;
  for (std::int64_t i = 0; i < states.dim(0); ++i) leaves.push_back(leaf(states[i].clone()));
  return leaves;
}

Variable weighted(const Variable& y, const Tensor& weights) {
  return ops::sum(ops::multiply(drop_mask(y), Variable(weights)));
}

// What a case computes: loss, output, the states behind it.
struct Computed {
  Variable loss, output;
  std::vector<Variable> last_h, last_c;
};

void add_loss(Computed& made, const std::vector<Variable>& last, const Tensor& weights) {
  for (std::size_t i = 0; i < last.size(); ++i) {
    const Tensor of_state = weights[static_cast<std::int64_t>(i)];
    made.loss = ops::add(made.loss, weighted(last[i], of_state));
  }
}

Computed compute(const Lstm& layer, const Variable& x, const Tensors& fixture,
                 const std::vector<Variable>& h, const std::vector<Variable>& c, Pass& pass) {
  std::vector<ops::LstmState> start;
  for (std::size_t i = 0; i < h.size(); ++i) start.push_back({h[i], c[i]});
  const Lstm::Result result = layer.run(x, start, pass);
  Computed made = {weighted(result.output, fixture.at("weights")), result.output, {}, {}};
  for (const ops::LstmState& state : result.last) {
    made.last_h.push_back(state.h);
    made.last_c.push_back(state.c);
  }
  add_loss(made, made.last_h, fixture.at("weights_h"));
  add_loss(made, made.last_c, fixture.at("weights_c"));
  return made;
}

Computed compute(const Gru& layer, const Variable& x, const Tensors& fixture,
                 const std::vector<Variable>& h, const std::vector<Variable>&, Pass& pass) {
  const Gru::Result result = layer.run(x, h, pass);
  Computed made = {weighted(result.output, fixture.at("weights")), result.output, {}, {}};
  made.last_h.assign(result.last.begin(), result.last.end());
  add_loss(made, made.last_h, fixture.at("weights_h"));
  return made;
}

void expect_states(const std::vector<Variable>& states, const Tensor& values, bool of_gradients) {
  ASSERT_EQ(std::ssize(states), values.dim(0));
  for (std::size_t i = 0; i < states.size(); ++i) {
    const Tensor found = of_gradients ? states[i].grad() : states[i].value();
    EXPECT_TRUE(is_close(found, to_doubles(values[static_cast<std::int64_t>(i)]), 1e-12)) << i;
  }
}

// Values and gradients of a case, padded as it stands.
template <class L>
void expect_pytorchs(L& layer, const Tensors& fixture) {
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  parameters.load(under(fixture, "parameter."));
  const Variable x = leaf(fixture.at("x"), mask_of(fixture.at("lengths"), fixture.at("x").dim(1)));
  const std::vector<Variable> h = leaves_of(fixture.at("start_h"));
  std::vector<Variable> c;
  if (fixture.contains("start_c")) c = leaves_of(fixture.at("start_c"));
  Tape tape;
  Pass pass;
  const Computed made = compute(layer, x, fixture, h, c, pass);
  EXPECT_TRUE(is_close(made.output.value(), to_doubles(fixture.at("output")), 1e-12));
  expect_states(made.last_h, fixture.at("last_h"), false);
  if (!c.empty()) expect_states(made.last_c, fixture.at("last_c"), false);
  tape.backward(made.loss);
  EXPECT_TRUE(is_close(x.grad(), to_doubles(fixture.at("gradient.x")), 1e-12));
  expect_states(h, fixture.at("gradient.start_h"), true);
  if (!c.empty()) expect_states(c, fixture.at("gradient.start_c"), true);
  for (const auto& [name, gradient] : parameters.named_pieces(parameters.gradients())) {
    EXPECT_TRUE(is_close(gradient, to_doubles(fixture.at("gradient." + name)), 1e-12)) << name;
  }
}

TEST(RecurrentReference, AnLstmHasPyTorchsValuesAndGradients) {
  Lstm one(kFeatures, kHidden);
  expect_pytorchs(one, fixture("lstm"));
  Lstm stack(kFeatures, kHidden, {.layers = 2, .bidirectional = true});
  expect_pytorchs(stack, fixture("lstm_stack"));
}

TEST(RecurrentReference, AGruHasPyTorchsValuesAndGradients) {
  Gru one(kFeatures, kHidden);
  expect_pytorchs(one, fixture("gru"));
  Gru stack(kFeatures, kHidden, {.layers = 2, .bidirectional = true});
  expect_pytorchs(stack, fixture("gru_stack"));
}

// Tells the class of a sequence from the last state of a layer.
template <class L>
struct Classifier : Module {
  Classifier()
      : layer(submodule("layer", std::make_unique<L>(kFeatures, kHidden))),
        w(parameter("w", {kHidden, kClasses}, zeros())),
        b(parameter("b", {kClasses}, zeros())) {}

  Variable logits(const Variable& x) {
    Pass pass = Pass::training(0, 0);
    const auto last = layer.run(x, {}, pass).last[0];
    if constexpr (std::is_same_v<L, Lstm>) {
      return ops::linear(last.h, w, b);
    } else {
      return ops::linear(last, w, b);
    }
  }

  L& layer;
  Parameter &w, &b;
};

template <class L>
void expect_pytorchs_training(const Tensors& fixture) {
  Classifier<L> model;
  const Tensor x = fixture.at("x").to(DType::kFloat64);
  test::expect_pytorchs_training(model, fixture, [&](std::span<const std::int32_t> ids) {
    const SequenceMask mask = mask_of(rows_of(fixture.at("lengths"), ids), x.dim(1));
    return model.logits(Variable(rows_of(x, ids), Variable::kConstant, mask));
  });
}

TEST(RecurrentReference, TwoHundredStepsOfAnLstmHavePyTorchsLossesAndWeights) {
  expect_pytorchs_training<Lstm>(fixture("training_lstm"));
}

TEST(RecurrentReference, TwoHundredStepsOfAGruHavePyTorchsLossesAndWeights) {
  expect_pytorchs_training<Gru>(fixture("training_gru"));
}

}  // namespace
}  // namespace maskgrad
