#include <algorithm>

#include <gmock/gmock.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kFloatingDTypes;
using test::make;
using test::same_bits;
using test::to_doubles;

// 3 x 5 and 5, then 5 x 2 and 2: none of them fills a multiple of 16.
void add_layers(Sequential& model) { model.add<Dense>("a", 3, 5).add<Dense>("b", 5, 2); }

std::vector<bool> used_places(const ParameterBuffer& parameters) {
  std::vector<bool> used(static_cast<std::size_t>(parameters.values().numel()));
  for (const auto& entry : parameters.entries()) {
    const auto begin = used.begin() + entry.first;
    std::fill(begin, begin + entry.parameter->shape().numel(), true);
  }
  return used;
}

TEST(ParameterBuffer, LaysParametersOutAlignedWithZerosBetween) {
  for (const DType dtype : kFloatingDTypes) {
    Sequential model;
    add_layers(model);
    const ParameterBuffer parameters(model, dtype, 1);
    EXPECT_EQ(parameters.dtype(), dtype);
    EXPECT_EQ(parameters.count(), 15 + 5 + 10 + 2);
    std::vector<std::string> names;
    for (const auto& entry : parameters.entries()) {
      names.push_back(entry.name);
      EXPECT_EQ(entry.first % 16, 0) << entry.name;
      EXPECT_EQ(
          reinterpret_cast<std::uintptr_t>(entry.parameter->variable().value().raw_data()) % 64,
          0U);
    }
    EXPECT_THAT(names, ::testing::ElementsAre("a.weight", "a.bias", "b.weight", "b.bias"));
    const std::vector<double> values = to_doubles(parameters.values());
    const std::vector<bool> used = used_places(parameters);
    EXPECT_EQ(std::count(used.begin(), used.end(), true), parameters.count());
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_TRUE(used[i] || values[i] == 0.0) << i;
    }
  }
}

TEST(ParameterBuffer, GivesEachParameterAViewIntoTheFlatTensor) {
  Sequential model;
  add_layers(model);
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  parameters.values().fill(2.5);
  for (const auto& entry : parameters.entries()) {
    const Tensor value = entry.parameter->variable().value();
    EXPECT_TRUE(value.is_same_view(parameters.values().view(entry.first, value.shape())));
    EXPECT_TRUE(value.is_same_view(parameters.named_values().at(entry.name)));
    EXPECT_EQ(to_doubles(value).back(), 2.5);
  }
}

TEST(ParameterBuffer, GradientsHoldZeroWhereNoneArrived) {
  Sequential model;
  add_layers(model);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const Variable bias = parameters.entries()[1].parameter->variable();
  for (int round = 0; round < 2; ++round) {
    parameters.clear_gradients();
    Tape tape;
    // The second round leaves the bias out: its gradient of the first must not stay.
    const Variable& reached = round == 0 ? bias : parameters.entries()[3].parameter->variable();
    tape.backward(ops::sum(reached));
    const std::vector<double> gradients = to_doubles(parameters.gradients());
    const auto& entry = parameters.entries()[round == 0 ? 1 : 3];
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i) - entry.first;
      EXPECT_EQ(gradients[i], place >= 0 && place < reached.shape().numel() ? 1.0 : 0.0) << i;
    }
  }
}

TEST(ParameterBuffer, GradientsGatherUntilTheyAreCleared) {
  Sequential model;
  model.add<Dense>("a", 2, 3);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  const Variable bias = parameters.entries()[1].parameter->variable();
  for (int i = 0; i < 2; ++i) {
    Tape tape;
    tape.backward(ops::sum(bias));
  }
  EXPECT_EQ(to_doubles(bias.grad()), std::vector<double>(3, 2.0));
  parameters.clear_gradients();
  EXPECT_FALSE(bias.grad().defined());
  EXPECT_EQ(to_doubles(parameters.gradients()), std::vector<double>(32, 0.0));
}

// A model with a table of 1,000 rows of 4, and steps that look three of them up.
struct LookUps {
  // The gradient that the optimizer is to see in step 0, 1, ...
  static std::vector<double> expected(int step) {
    std::vector<double> gradients(4000);
    for (int i = 0; i < 3; ++i) {
      for (int d = 0; d < 4; ++d) gradients[static_cast<std::size_t>(4 * (10 * step + i) + d)] = 1;
    }
    return gradients;
  }
  void backward(int step) {
    parameters.clear_gradients();
    const double first = 10 * step;
    Tape tape;
    tape.backward(
        ops::sum(model(Variable(make({first, first + 1, first + 2}, {1, 3}, DType::kInt64)))));
  }
  std::vector<double> read() {
    const auto gradients = parameters.read_gradients<double>();
    return {gradients.begin(), gradients.end()};
  }

  Sequential model;
  ParameterBuffer parameters{model.add<Embed>("embed", 1000, 4), DType::kFloat64, 1};
};

TEST(ParameterBuffer, ClearsOfALargeTableOnlyWhatThePassBeforeWrote) {
  LookUps run;
  for (int step = 0; step < 5; ++step) {
    const Traffic before = Traffic::so_far();
    run.backward(step);
    EXPECT_EQ(run.read(), LookUps::expected(step)) << step;
    // In the first step nothing is known, and all is cleared.
    EXPECT_LT(Traffic::so_far().filled - before.filled, step == 0 ? 40000U : 4000U) << step;
  }
}

TEST(ParameterBuffer, ClearsAllOfATableThatWasWrittenToThroughGradients) {
  LookUps run;
  for (int step = 0; step < 5; ++step) {
    run.backward(step);
    EXPECT_EQ(to_doubles(run.parameters.gradients()), LookUps::expected(step)) << step;
    // Such as the sum over several processes.
    if (step % 2 == 0) run.parameters.gradients().fill(3);
  }
}

TEST(ParameterBuffer, FillsWhatNoGradientReachesOnce) {
  LookUps run;
  run.backward(0);
  run.parameters.clear_gradients();
  EXPECT_EQ(run.read(), std::vector<double>(4000, 0.0));
  run.parameters.clear_gradients();
  const Traffic before = Traffic::so_far();
  run.read();
  EXPECT_EQ(Traffic::so_far().filled, before.filled);
}

TEST(ParameterBuffer, LoadsWhatNamedValuesGaveInEitherDtype) {
  Sequential model, other;
  add_layers(model);
  add_layers(other);
  const ParameterBuffer from(model, DType::kFloat64, 1);
  ParameterBuffer narrow(other, DType::kFloat32, 2);
  narrow.load(from.named_values());
  EXPECT_TRUE(same_bits(narrow.values(), from.values().to(DType::kFloat32)));

  Sequential third;
  add_layers(third);
  ParameterBuffer wide(third, DType::kFloat64, 3);
  wide.load(narrow.named_values());
  EXPECT_TRUE(same_bits(wide.values(), narrow.values().to(DType::kFloat64)));
}

TEST(ParameterBuffer, LoadingCopiesAndSharesNothing) {
  Sequential model;
  model.add<Dense>("a", 2, 3);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  std::map<std::string, Tensor> values = {{"a.weight", Tensor::full({2, 3}, 1, DType::kFloat64)},
                                          {"a.bias", Tensor::full({3}, 2, DType::kFloat64)}};
  parameters.load(values);
  values.at("a.bias").fill(7.0);
  EXPECT_EQ(to_doubles(parameters.named_values().at("a.bias")), std::vector<double>(3, 2.0));
}

TEST(ParameterBuffer, LoadListsWhatDoesNotFitAndChangesNothing) {
  Sequential model;
  add_layers(model);
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  const Tensor before = parameters.values().clone();
  std::map<std::string, Tensor> values = parameters.named_values();
  for (auto& [name, value] : values) value = Tensor::zeros(value.shape(), DType::kFloat32);
  values.erase("a.bias");
  values["b.weight"] = Tensor::zeros({2, 5}, DType::kFloat32);
  values["c.weight"] = Tensor::zeros({4}, DType::kFloat32);
  values["b.bias"] = Tensor::zeros({2, 1}, DType::kFloat32);
  EXPECT_EQ(
      error_of([&] { parameters.load(values); }),
      "[weights] a.bias (5,) is missing; b.weight is (2, 5), the model's is (5, 2); b.bias is "
      "(2, 1), the model's is (2,); and 1 more");
  values["b.bias"] = Tensor::zeros({2}, DType::kFloat32);
  EXPECT_EQ(error_of([&] { parameters.load(values); }),
            "[weights] a.bias (5,) is missing; b.weight is (2, 5), the model's is (5, 2); c.weight "
            "(4,) is unknown to the model");
  EXPECT_TRUE(same_bits(parameters.values(), before));
}

TEST(ParameterBuffer, LoadRefusesValuesThatAreNotFloating) {
  Sequential model;
  model.add<Dense>("a", 2, 3);
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  std::map<std::string, Tensor> values = parameters.named_values();
  values["a.bias"] = Tensor::zeros({3}, DType::kInt64);
  EXPECT_EQ(error_of([&] { parameters.load(values); }),
            "[weights] a.bias holds int64, not float32 or float64");
}

TEST(ParameterBuffer, TakesGradientsFromElsewhereInPlaceOfItsOwn) {
  Sequential model;
  add_layers(model);
  ParameterBuffer parameters(model, DType::kFloat64, 1);
  Tensor sum = parameters.zeros_beside(0);
  for (const auto& entry : parameters.entries()) {
    sum.view(entry.first, entry.parameter->shape()).fill(6.0);
  }
  parameters.clear_gradients();
  parameters.set_gradients(sum, 0.5);
  for (const auto& entry : parameters.entries()) {
    EXPECT_THAT(to_doubles(entry.parameter->variable().grad()), ::testing::Each(3.0)) << entry.name;
  }
  EXPECT_THAT(parameters.read_gradients<double>(), ::testing::Contains(3.0)) << "they stay";
  parameters.clear_gradients();
  EXPECT_THAT(to_doubles(parameters.gradients()), ::testing::Each(0.0));
  EXPECT_EQ(error_of([&] { parameters.set_gradients(Tensor::zeros({2}, DType::kFloat64), 1.0); }),
            fmt::format("[parameters] gradients of float64 (2,) do not fit float64 {}",
                        parameters.values().shape()));
}

TEST(ParameterBuffer, RefusesDtypesThatAreNotFloating) {
  Sequential model;
  add_layers(model);
  EXPECT_EQ(error_of([&] { ParameterBuffer(model, DType::kInt32, 1); }),
            "[parameters] must be float32 or float64, not int32");
}

TEST(ParameterBuffer, OfAModelWithoutParametersIsEmpty) {
  Sequential model;
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  EXPECT_EQ(parameters.count(), 0);
  EXPECT_EQ(parameters.gradients().numel(), 0);
  EXPECT_EQ(error_of([&] { parameters.load({}); }), "no error");
}

}  // namespace
}  // namespace maskgrad
