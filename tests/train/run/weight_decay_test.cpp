// Which weights a run of adamw decays, and which a program of its own does.
#include <map>
#include <string>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/reshape.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/run/train_in_folder.hpp>

#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::to_doubles;

constexpr double kRate = 0.01, kDecay = 0.5;

// Tokens 0..4, three of them, go through a transformer.
void add_layers(Sequential& layers) {
  layers.add<Embed>("embed", 5, 4)
      .add<Encoder>("encoder", TransformerOptions{.features = 4, .heads = 2, .hidden = 6})
      .add<Reshape>("reshape", std::vector<std::int64_t>{12})
      .add<Dense>("dense", 12, 5);
}

using Weights = std::map<std::string, std::vector<double>>;
Weights weights_of(const ParameterBuffer& parameters) {
  Weights weights;
  for (const auto& [name, value] : parameters.named_values()) weights[name] = to_doubles(value);
  return weights;
}

// What the weights of a run are after its first step.
Weights after_a_step(const std::string& optimizer, double weight_decay) {
  const test::ScratchFolder folder;
  Sequential layers;
  add_layers(layers);
  const auto model = [&](const Batch& batch, Pass& pass) -> ModelOutput {
    return ops::cross_entropy(layers(Variable(batch.inputs), pass), batch.targets);
  };
  const SequenceDataset data = test::toy_data();
  train_in_folder(layers, model, data,
                  {.folder = folder / "run",
                   .steps = 1,
                   .seed = 3,
                   .dtype = DType::kFloat64,
                   .optimizer = optimizer,
                   .lr = kRate,
                   .weight_decay = weight_decay,
                   .tensorboard = false});
  Weights weights;
  for (const NamedParameter& named : layers.parameters()) {
    weights[named.name] = to_doubles(named.parameter->variable().value());
  }
  return weights;
}

std::map<std::string, Shape> shapes() {
  Sequential layers;
  add_layers(layers);
  std::map<std::string, Shape> shapes;
  for (const NamedParameter& named : layers.parameters()) {
    shapes.emplace(named.name, named.parameter->shape());
  }
  return shapes;
}

TEST(WeightDecay, OfAdamwInARunFallsOnMatricesAndNeitherOnBiasesNorOnNorms) {
  Sequential layers;
  add_layers(layers);
  const Weights start = weights_of(ParameterBuffer(layers, DType::kFloat64, 3));
  const Weights with = after_a_step("adamw", kDecay), without = after_a_step("adamw", 0);
  int matrices = 0, others = 0;
  for (const auto& [name, shape] : shapes()) {
    const bool is_matrix = shape.rank() == 2;
    ++(is_matrix ? matrices : others);
    for (std::size_t i = 0; i < start.at(name).size(); ++i) {
      const double lost = is_matrix ? kRate * kDecay * start.at(name)[i] : 0;
      ASSERT_NEAR(with.at(name)[i], without.at(name)[i] - lost, 1e-15) << name << " " << i;
    }
  }
  EXPECT_EQ(matrices, 8) << "embed, q, k, v, o, two of feed_forward, dense";
  EXPECT_EQ(others, 13) << "seven biases and three norms";
  EXPECT_EQ(after_a_step("adam", kDecay), after_a_step("adam", 0));
}

TEST(WeightDecay, OfGroupsOfOnesOwnFallsWhereTheySay) {
  Sequential layers;
  add_layers(layers);
  const auto starts_with = [](std::string_view prefix) {
    return [prefix](std::string_view name, const Shape&) { return name.starts_with(prefix); };
  };
  ParameterBuffer parameters(
      layers, DType::kFloat64, 3, {},
      {{.name = "tables", .owns = starts_with("embed")},
       {.name = "norms", .owns = starts_with("encoder.norm"), .weight_decay = 0.1},
       {.name = "head", .owns = starts_with("dense"), .lr_factor = 2, .weight_decay = kDecay},
       {.name = "rest", .owns = is_any, .frozen = true}});
  const Weights start = weights_of(parameters);
  Adam adam(parameters, {.eps = 1e-8, .form = Adam::Form::kPyTorch});
  adam.step(parameters, kRate);  // gradients of 0: what changes decays
  for (const auto& [name, value] : weights_of(parameters)) {
    double left = 1;
    if (name.starts_with("encoder.norm")) left = 1 - kRate * 0.1;
    if (name.starts_with("dense")) left = 1 - 2 * kRate * kDecay;
    for (std::size_t i = 0; i < value.size(); ++i) {
      ASSERT_NEAR(value[i], left * start.at(name)[i], 1e-15) << name << " " << i;
    }
  }
}

}  // namespace
}  // namespace maskgrad
