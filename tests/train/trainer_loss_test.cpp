// Losses that are no numbers, or of nothing.
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/elementwise.hpp>
#include <maskgrad/ops/reduce.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kInf;
using test::same_bits;
using test::to_doubles;
using test::ToyRun;

// Trains a model whose loss is bad from step `first_bad` on, and gives the error. Checks that the
// failing step changed nothing.
std::string divergence(std::int64_t first_bad, std::function<Variable(const Variable&)> bad) {
  ToyRun* self = nullptr;
  std::int64_t step = 0;
  Tensor before;
  ToyRun toy({.training = {.epochs = 2}}, [&](const Batch& batch) {
    ModelOutput output = self->evaluate(batch);
    if (step >= first_bad) output.loss.sum = bad(output.loss.sum);
    return output;
  });
  self = &toy;
  test::Notes::Kept kept;
  before = toy.parameters->values().clone();
  toy.trainer->add(std::make_unique<test::Notes>(kept, [&](const StepInfo&) {
    ++step;
    before = toy.parameters->values().clone();
  }));
  const std::string text = error_of([&] { toy.run(); });
  EXPECT_EQ(static_cast<std::int64_t>(kept.losses.size()), first_bad);
  EXPECT_TRUE(same_bits(toy.parameters->values(), before));
  EXPECT_EQ(toy.optimizer->steps(), first_bad);
  return text;
}

TEST(Trainer, NamesTheFirstOperationThatGaveNoNumber) {
  EXPECT_EQ(divergence(4, [](const Variable& x) { return ops::log(ops::negate(ops::exp(x))); }),
            "[train] step 4: the loss is nan; first of all, log gave nan at element 0 of ()");
  EXPECT_EQ(
      divergence(0, [](const Variable& x) { return ops::add(ops::exp(ops::scale(x, 1e6)), x); }),
      "[train] step 0: the loss is inf; first of all, exp gave inf at element 0 of ()");
}

TEST(Trainer, SaysSoWhenNoOperationGaveIt) {
  EXPECT_EQ(
      divergence(
          1, [](const Variable&) { return Variable(Tensor::full({}, -kInf, DType::kFloat64)); }),
      "[train] step 1: the loss is -inf; first of all, no operation on the tape gave it");
}

TEST(Trainer, NamesTheParameterThatWasNoNumberBefore) {
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), kInf}) {
    ToyRun toy({});
    Tensor bias = toy.parameters->named_values().at("dense.bias");
    bias.data<double>()[3] = value;
    const Tensor before = toy.parameters->values().clone();
    EXPECT_EQ(error_of([&] { toy.run(); }),
              "[train] step 0: the loss is nan; before this step parameter dense.bias was not "
              "finite already: a smaller learning rate may help");
    EXPECT_TRUE(same_bits(toy.parameters->values(), before));
  }
}

TEST(Trainer, SurvivesALearningRateThatIsFarTooLargeWithAnErrorThatSaysIt) {
  ToyRun toy({.training = {.lr = 1e300, .epochs = 100}, .sgd = true});
  EXPECT_THAT(error_of([&] { toy.run(); }),
              ::testing::AnyOf(::testing::HasSubstr("a smaller learning rate may help"),
                               ::testing::HasSubstr("first of all, ")));
}

TEST(Trainer, TakesNoGradientFromABatchInWhichNothingCounts) {
  ToyRun* self = nullptr;
  int step = 0;
  ToyRun toy({.training = {.max_steps = 2}, .sgd = true}, [&](const Batch& batch) {
    // Positions as a sequence of targets, all of them masked in the second batch.
    const std::vector<std::int64_t> lengths(4, step++ == 0 ? 1 : 0);
    const Variable logits = self->layers(Variable(batch.inputs));
    const Variable sequence =
        ops::with_mask(ops::reshape(logits, {4, 1, 5}), SequenceMask::from_lengths(lengths, 1));
    return ModelOutput{ops::cross_entropy(sequence, batch.targets.reshape({4, 1}))};
  });
  self = &toy;
  test::Notes::Kept kept;
  Tensor after_first;
  toy.trainer->add(std::make_unique<test::Notes>(kept, [&](const StepInfo& info) {
    if (info.step == 0) after_first = toy.parameters->gradients().clone();
  }));
  toy.run();
  EXPECT_EQ(kept.losses[1], 0.0);
  EXPECT_EQ(kept.epoch_losses[0], kept.losses[0]) << "nothing was added to the sum or the count";
  const auto size = static_cast<std::size_t>(toy.parameters->gradients().numel());
  EXPECT_NE(to_doubles(after_first), std::vector<double>(size, 0.0));
  EXPECT_EQ(to_doubles(toy.parameters->gradients()), std::vector<double>(size, 0.0));
}

TEST(Trainer, DividesByNoCountOfZero) {
  ToyRun* self = nullptr;
  ToyRun toy({.training = {.max_steps = 1}}, [&](const Batch& batch) {
    return ModelOutput{{ops::scale(self->evaluate(batch).loss.sum, 0.0), 0}};
  });
  self = &toy;
  const Tensor before = toy.parameters->values().clone();
  toy.run();
  EXPECT_TRUE(same_bits(toy.parameters->values(), before));
  EXPECT_EQ(toy.optimizer->steps(), 1);
}

TEST(Trainer, RefusesAModelThatChangesItsMetrics) {
  ToyRun* self = nullptr;
  int step = 0;
  ToyRun toy({}, [&](const Batch& batch) {
    ModelOutput output = self->evaluate(batch);
    if (step++ == 1) output.metrics.clear();
    return output;
  });
  self = &toy;
  EXPECT_EQ(error_of([&] { toy.run(); }), "[train] the model gave 1 metrics, before it gave 2");
}

}  // namespace
}  // namespace maskgrad
