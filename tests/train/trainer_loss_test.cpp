// Losses that are no numbers, or of nothing.
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/finite.hpp>

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
  std::int64_t step = 0;
  Tensor before;
  ToyRun toy({.training = {.epochs = 2}}, [&](ToyRun& run, const Batch& batch, Pass&) {
    ModelOutput output = run.evaluate(batch);
    if (step >= first_bad) output.terms[0].sum = bad(output.terms[0].sum);
    return output;
  });
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
            "[train] step 4: the loss is nan; first of all, log gave nan at element 0 of (): a "
            "smaller learning rate may help");
  EXPECT_EQ(
      divergence(0, [](const Variable& x) { return ops::add(ops::exp(ops::scale(x, 1e6)), x); }),
      "[train] step 0: the loss is inf; first of all, exp gave inf at element 0 of ()");
}

TEST(Trainer, SaysSoWhenNoOperationGaveIt) {
  EXPECT_EQ(
      divergence(
          1, [](const Variable&) { return Variable(Tensor::full({}, -kInf, DType::kFloat64)); }),
      "[train] step 1: the loss is -inf; first of all, no operation on the tape gave it: a "
      "smaller learning rate may help");
}

// A model that cannot go on without a number throws before there is a loss.
TEST(Trainer, SaysWhereAModelNeededANumberAndWhatGaveNone) {
  for (const std::int64_t parts : {1, 2}) {
    std::int64_t step = 0;
    const auto error = [&](bool has_operation) {
      ToyRun toy({.training = {.micro_batches = parts}},
                 [&](ToyRun& run, const Batch& batch, Pass&) {
                   ModelOutput output = run.evaluate(batch);
                   if (step < 2) return output;
                   if (has_operation) ops::log(ops::negate(ops::exp(output.terms[0].sum)));
                   throw NotFiniteError("decide", "a logit is NaN");
                 });
      test::Notes::Kept kept;
      toy.trainer->add(std::make_unique<test::Notes>(kept, [&](const StepInfo&) { ++step; }));
      EXPECT_THROW(toy.run(), Diverged);
      EXPECT_EQ(kept.losses.size(), 2u);
      return error_of([&] { toy.trainer->step(toy.loader->next()); });
    };
    EXPECT_EQ(error(true),
              "[train] step 2: decide: a logit is NaN; first of all, log gave nan at element 0 of "
              "(): a smaller learning rate may help");
    step = 0;
    EXPECT_EQ(error(false),
              "[train] step 2: decide: a logit is NaN; first of all, no operation on the tape gave "
              "it: a smaller learning rate may help");
  }
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
              ::testing::HasSubstr("a smaller learning rate may help"));
}

TEST(Trainer, TakesNoGradientFromABatchInWhichNothingCounts) {
  int step = 0;
  ToyRun toy(
      {.training = {.max_steps = 2}, .sgd = true}, [&](ToyRun& run, const Batch& batch, Pass&) {
        // Positions as a sequence of targets, all of them masked in the second batch.
        const std::vector<std::int64_t> lengths(4, step++ == 0 ? 1 : 0);
        const Variable logits = run.layers(Variable(batch.inputs));
        const Variable sequence =
            ops::with_mask(ops::reshape(logits, {4, 1, 5}), SequenceMask::from_lengths(lengths, 1));
        return ModelOutput{ops::cross_entropy(sequence, batch.targets.reshape({4, 1}))};
      });
  test::Notes::Kept kept;
  Tensor after_first;
  toy.trainer->add(std::make_unique<test::Notes>(kept, [&](const StepInfo& info) {
    if (info.step == 0) after_first = toy.parameters->gradients().clone();
  }));
  toy.run();
  EXPECT_EQ(kept.losses[1], 0.0);
  EXPECT_EQ(toy.trainer->state().totals[0].mean(), kept.losses[0])
      << "nothing was added to the sum or the count";
  const auto size = static_cast<std::size_t>(toy.parameters->gradients().numel());
  EXPECT_NE(to_doubles(after_first), std::vector<double>(size, 0.0));
  EXPECT_EQ(to_doubles(toy.parameters->gradients()), std::vector<double>(size, 0.0));
}

// Adam and momentum would go on moving weights by what they remember.
TEST(Trainer, MovesNothingByABatchThatCountsNothing) {
  for (const bool sgd : {false, true}) {
    for (const double clip_norm : {0.0, 1.0}) {
      std::int64_t step = 0;
      ToyRun toy({.training = {.clip_norm = clip_norm}, .sgd = sgd},
                 [&](ToyRun& run, const Batch& batch, Pass&) {
                   const Variable sum = run.evaluate(batch).terms[0].sum;
                   ops::SumCount loss = {sum, batch.size()};
                   if (step == 1) loss = {ops::scale(sum, 0.0), 0};
                   return ModelOutput{loss};
                 });
      std::vector<Tensor> values, states;
      test::Notes::Kept kept;
      toy.trainer->add(std::make_unique<test::Notes>(kept, [&](const StepInfo&) {
        ++step;
        values.push_back(toy.parameters->values().clone());
        states.push_back(toy.optimizer->state().begin()->second.clone());
      }));
      toy.run();
      ASSERT_EQ(values.size(), 3U);
      EXPECT_TRUE(same_bits(values[0], values[1]));
      EXPECT_TRUE(same_bits(states[0], states[1]));
      EXPECT_FALSE(same_bits(values[1], values[2]));
      EXPECT_EQ(toy.trainer->state().step, 3);
      EXPECT_EQ(toy.trainer->state().skipped, 1);
      EXPECT_EQ(toy.optimizer->steps(), 2);
    }
  }
}

TEST(Trainer, RefusesANegativeCount) {
  ToyRun toy({}, [&](ToyRun& run, const Batch& batch, Pass&) {
    return ModelOutput{ops::SumCount{run.evaluate(batch).terms[0].sum, -1}};
  });
  EXPECT_EQ(error_of([&] { toy.run(); }), "[train] step 0: the model counted -1");
}

TEST(Trainer, RefusesAModelThatChangesItsMetrics) {
  int step = 0;
  ToyRun toy({}, [&](ToyRun& run, const Batch& batch, Pass&) {
    ModelOutput output = run.evaluate(batch);
    if (step++ == 1) output.metrics.clear();
    return output;
  });
  EXPECT_EQ(error_of([&] { toy.run(); }), "[train] the model gave 1 metrics, before it gave 2");
}

}  // namespace
}  // namespace maskgrad
