// Models that are evaluated to losses of the test's choice, and what is heard of evaluations.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "train/toy_run.hpp"

namespace maskgrad::test {

// Hears of evaluations: "3: 0.5 best", and the weights that the trainer had then.
struct Heard : Callback {
  struct Kept {
    std::vector<std::string> texts;
    std::vector<double> losses;
    std::vector<Tensor> weights;
  };
  explicit Heard(Kept& k) : kept(k) {}
  void on_evaluation(const Trainer& trainer, const EvaluationInfo& info) override {
    const double loss = info.totals.front().mean();
    kept.texts.push_back(fmt::format("{}: {}{}", info.step, loss, info.is_best ? " best" : ""));
    kept.losses.push_back(loss);
    kept.weights.push_back(trainer.parameters().values().clone());
  }
  Kept& kept;
};

// A model that learns as the toy does, and is evaluated to these losses, one after the other.
inline ToyModel scripted(std::vector<double> losses, std::size_t& next) {
  return [losses, &next](ToyRun& toy, const Batch& batch, Pass& pass) -> ModelOutput {
    if (pass.is_training()) return toy.evaluate(batch);
    return {ops::SumCount{Variable(Tensor::full({}, losses.at(next++), DType::kFloat64)), 1}};
  };
}

}  // namespace maskgrad::test
