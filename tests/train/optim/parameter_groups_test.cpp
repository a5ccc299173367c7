// What optimizers make of groups: rates, decoupled weight decay, and what is frozen.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/sgd.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::to_doubles;
using test::uniform;

constexpr std::int64_t kSize = 37;  // three lines and a part

// `decayed` [37, 1], `slow` [37] and `frozen` [37], all 1 at the start.
struct Vectors : Module {
  Vectors() {
    for (const char* name : {"slow", "frozen"}) parameter(name, {kSize}, ones());
    parameter("decayed", {kSize, 1}, ones());
  }
};

std::vector<ParameterGroup> groups(double weight_decay) {
  const auto called = [](const char* wanted) {
    return [wanted](std::string_view name, const Shape&) { return name == wanted; };
  };
  return {{.name = "decay", .owns = is_matrix, .weight_decay = weight_decay},
          {.name = "slow", .owns = called("slow"), .lr_factor = 0.25},
          {.name = "frozen", .owns = is_any, .weight_decay = 0.5, .frozen = true}};
}

// Leaves one and the same gradient in every parameter that takes one.
void give(ParameterBuffer& parameters, const Tensor& gradient) {
  parameters.clear_gradients();
  for (const NamedLeaf& leaf : parameters.leaves()) {
    Tape tape;
    tape.backward(leaf.leaf, gradient.reshape(leaf.leaf.shape()).to(parameters.dtype()));
  }
}

// torch/optim/adamw.py, _single_tensor_adamw, for one number.
struct TorchAdamW {
  double p = 1.0, exp_avg = 0.0, exp_avg_sq = 0.0;
  void step(double grad, double lr, double weight_decay, int t) {
    constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;
    p *= 1 - lr * weight_decay;
    exp_avg += (grad - exp_avg) * (1 - kBeta1);
    exp_avg_sq = exp_avg_sq * kBeta2 + (1 - kBeta2) * grad * grad;
    const double step_size = lr / (1 - std::pow(kBeta1, t));
    const double denom = std::sqrt(exp_avg_sq) / std::sqrt(1 - std::pow(kBeta2, t)) + kEps;
    p += -step_size * exp_avg / denom;
  }
};

TEST(ParameterGroups, MakeAdamWOfAdam) {
  for (const DType dtype : test::kFloatingDTypes) {
    Vectors model;
    ParameterBuffer parameters(model, dtype, 1, {}, groups(0.3));
    Adam adam(parameters, {.eps = 1e-8, .form = Adam::Form::kPyTorch});
    Random random(1);
    std::vector<TorchAdamW> decayed(kSize), slow(kSize);
    for (int t = 1; t <= 20; ++t) {
      const Tensor gradient = uniform(random, {kSize});
      const double lr = 0.1 / t;
      give(parameters, gradient);
      adam.step(parameters, lr);
      for (std::size_t i = 0; i < decayed.size(); ++i) {
        decayed[i].step(gradient.data<double>()[i], lr, 0.3, t);
        slow[i].step(gradient.data<double>()[i], 0.25 * lr, 0.0, t);
      }
    }
    const auto values = [](const std::vector<TorchAdamW>& all) {
      std::vector<double> p;
      for (const TorchAdamW& one : all) p.push_back(one.p);
      return p;
    };
    const double tolerance = dtype == DType::kFloat64 ? 1e-13 : 1e-5;
    EXPECT_TRUE(is_close(parameters.named_values().at("decayed"), values(decayed), tolerance));
    EXPECT_TRUE(is_close(parameters.named_values().at("slow"), values(slow), tolerance));
    EXPECT_EQ(to_doubles(parameters.named_values().at("frozen")), std::vector<double>(kSize, 1.0));
    EXPECT_EQ(adam.steps(), 20);
  }
}

// Numbers beyond the square root of the largest take another way through the loop.
TEST(ParameterGroups, DecayBesideLargeGradientsToo) {
  Vectors model;
  ParameterBuffer parameters(model, DType::kFloat32, 1, {}, groups(0.5));
  Adam adam(parameters, {.form = Adam::Form::kPyTorch});
  give(parameters, Tensor::full({kSize}, 1e30, DType::kFloat64));
  adam.step(parameters, 0.1);
  // The first step of Adam is one of length lr.
  const auto decayed = to_doubles(parameters.named_values().at("decayed"));
  for (const double value : decayed) EXPECT_NEAR(value, 0.95 - 0.1, 1e-6);
}

TEST(ParameterGroups, DecayOutsideTheMomentumOfSgd) {
  Vectors model;
  ParameterBuffer parameters(model, DType::kFloat64, 1, {}, groups(0.3));
  Sgd sgd(parameters, 0.9);
  Random random(2);
  std::vector<double> w(kSize, 1.0), slow(kSize, 1.0), u(kSize, 0.0);
  for (int t = 1; t <= 10; ++t) {
    const Tensor gradient = uniform(random, {kSize});
    give(parameters, gradient);
    sgd.step(parameters, 0.05);
    for (std::size_t i = 0; i < w.size(); ++i) {
      u[i] = 0.9 * u[i] + gradient.data<double>()[i];
      w[i] = w[i] - 0.05 * 0.3 * w[i] - 0.05 * u[i];
      slow[i] -= 0.25 * 0.05 * u[i];
    }
  }
  EXPECT_TRUE(is_close(parameters.named_values().at("decayed"), w, 1e-13));
  EXPECT_TRUE(is_close(parameters.named_values().at("slow"), slow, 1e-13));
  EXPECT_EQ(to_doubles(parameters.named_values().at("frozen")), std::vector<double>(kSize, 1.0));
}

TEST(ParameterGroups, ThatDifferInNothingChangeNoBit) {
  for (const bool use_adam : {true, false}) {
    Vectors plain_model, grouped_model;
    ParameterBuffer plain(plain_model, DType::kFloat32, 1),
        grouped(grouped_model, DType::kFloat32, 1, {}, {{"matrices", is_matrix}, {"rest", is_any}});
    const auto train = [&](ParameterBuffer& parameters) {
      std::unique_ptr<Optimizer> optimizer = std::make_unique<Sgd>(parameters, 0.9);
      if (use_adam) optimizer = std::make_unique<Adam>(parameters);
      Random random(3);
      for (int t = 0; t < 5; ++t) {
        give(parameters, uniform(random, {kSize}));
        optimizer->step(parameters, 0.01);
      }
    };
    train(plain);
    train(grouped);
    for (const auto& [name, value] : plain.named_values()) {
      EXPECT_TRUE(test::same_bits(grouped.named_values().at(name), value)) << name;
    }
  }
}

TEST(ParameterGroups, KnowTheNameOfAGradientThatIsNotFinite) {
  Vectors model;
  ParameterBuffer parameters(model, DType::kFloat32, 1, {}, groups(0.3));
  Adam adam(parameters);
  give(parameters, Tensor::full({kSize}, test::kNaN, DType::kFloat64));
  EXPECT_EQ(test::error_of([&] { adam.step(parameters, 0.1); }),
            "[adam] the gradient of decayed is nan at element 0");
}

// Names and shapes are what counts in a file.
TEST(ParameterGroups, GoOnFromACheckpointThatKnewNone) {
  const test::ScratchFolder folder;
  const std::filesystem::path file = folder / "step_000000000003.safetensors";
  test::ToyRun before({});
  before.run();
  save_checkpoint(file, before.trainer->state(), *before.parameters, *before.optimizer);
  test::ToyRun model({.seed = 5});
  ParameterBuffer grouped(model.layers, DType::kFloat64, 9, {},
                          {{"matrices", is_matrix, 1.0, 0.1}, {"rest", is_any}});
  Adam adam(grouped);
  EXPECT_EQ(load_checkpoint(file, grouped, adam).state.step, 3);
  for (const auto& [name, value] : before.parameters->named_values()) {
    EXPECT_TRUE(test::same_bits(grouped.named_values().at(name), value)) << name;
  }
  save_checkpoint(folder / "again.safetensors", before.trainer->state(), grouped, adam);
  EXPECT_TRUE(read_file(folder / "again.safetensors") == read_file(file));
}

TEST(ParameterGroups, LeaveSomethingToTrain) {
  test::ToyRun toy({});
  ParameterBuffer frozen(toy.layers, DType::kFloat64, 1, {},
                         {{.name = "all", .owns = is_any, .frozen = true}, {"none", is_any}});
  Adam adam(frozen);
  EXPECT_EQ(test::error_of([&] {
              Trainer([](const Batch&, Pass&) { return ModelOutput{}; }, frozen, adam, *toy.loader,
                      {});
            }),
            "[train] every parameter is frozen: there is nothing to train");
}

// Without it, momentum and weight decay would change them.
TEST(ParameterGroups, RestInStepsThatGiveThemNoGradient) {
  for (const bool rests : {false, true}) {
    Vectors model;
    std::vector<ParameterGroup> all = groups(0.3);
    all[0].rests = rests;
    ParameterBuffer parameters(model, DType::kFloat64, 1, {}, all);
    Adam adam(parameters);
    const Tensor ones = Tensor::full({kSize}, 1, DType::kFloat64);
    give(parameters, ones);
    adam.step(parameters, 0.1);
    const auto values = [&] { return to_doubles(parameters.named_values().at("decayed")); };
    const std::vector<double> before = values();
    EXPECT_NE(before[0], 1);
    parameters.clear_gradients();
    const auto slow = parameters.leaves()[1];
    ASSERT_EQ(slow.name, "slow");
    Tape tape;
    tape.backward(slow.leaf, ones);
    const double slow_before = to_doubles(slow.leaf.value())[0];
    adam.step(parameters, 0.1);
    EXPECT_EQ(values() == before, rests);
    EXPECT_NE(to_doubles(slow.leaf.value())[0], slow_before);
    give(parameters, ones);
    adam.step(parameters, 0.1);
    EXPECT_NE(values(), before) << "it goes on when a gradient arrives";
  }
}

}  // namespace
}  // namespace maskgrad
