// Losses of several terms.
#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/evaluate.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::to_doubles;
using test::ToyModel;
using test::ToyRun;

// The sum of squares of a parameter.
Variable squares(ToyRun& toy, const std::string& name) {
  for (const auto& entry : toy.parameters->entries()) {
    const Variable& w = entry.parameter->variable();
    if (entry.name == name) return ops::sum(ops::multiply(w, w));
  }
  return {};
}

// Cross-entropy, and a penalty on the weights of the last layer.
ToyModel penalized(double weight, std::int64_t count = 1) {
  return [weight, count](ToyRun& toy, const Batch& batch, Pass&) {
    ModelOutput output = toy.evaluate(batch);
    output.terms[0].name = "entropy";
    output.terms.push_back({"penalty", squares(toy, "dense.weight"), count, weight});
    return output;
  };
}

std::vector<double> gradient_of(ToyRun& toy, const std::function<Variable()>& f) {
  toy.parameters->clear_gradients();
  Tape tape;
  tape.backward(f());
  return to_doubles(toy.parameters->gradients());
}

TEST(LossTerms, AddUpToTheGradientOfTheirWeightedMeans) {
  ToyRun toy({.training = {.lr = 0.5}, .sgd = true}, penalized(0.25));
  const Batch batch = toy.loader->peek();
  const auto entropy = gradient_of(toy, [&] { return toy.evaluate(batch).terms[0].sum; });
  const auto penalty = gradient_of(toy, [&] { return squares(toy, "dense.weight"); });
  std::vector<double> expected = to_doubles(toy.parameters->values());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expected[i] -= 0.5 * (entropy[i] / 4 + 0.25 * penalty[i]);
  }
  toy.trainer->step(toy.loader->next());
  EXPECT_TRUE(test::is_close(toy.parameters->values(), expected, 1e-14));
}

TEST(LossTerms, AreReportedByNameBehindTheirSum) {
  ToyRun toy({}, penalized(0.25));
  const Batch batch = toy.loader->peek();
  const double entropy = toy.evaluate(batch).terms[0].sum.item(),
               penalty = squares(toy, "dense.weight").item();
  const auto metrics = toy.trainer->step(toy.loader->next());
  ASSERT_EQ(metrics.size(), 4U);
  EXPECT_EQ(metrics[0].name, "loss");
  EXPECT_NEAR(metrics[0].mean(), entropy / 4 + 0.25 * penalty, 1e-14);
  EXPECT_EQ(metrics[0].count, 4);
  EXPECT_EQ(metrics[1].name, "entropy");
  EXPECT_EQ(metrics[1].sum, entropy);
  EXPECT_EQ(metrics[1].count, 4);
  EXPECT_EQ(metrics[2].name, "penalty");
  EXPECT_EQ(metrics[2].sum, penalty) << "without its weight";
  EXPECT_EQ(metrics[2].count, 1);
  EXPECT_EQ(metrics[3].name, "accuracy");
}

TEST(LossTerms, AreEvaluatedByNameToo) {
  ToyRun toy({}, penalized(0.5));
  const auto totals = evaluate(toy.trainer->model(), toy.data, 5);
  ASSERT_EQ(totals.size(), 4U);
  EXPECT_NEAR(totals[0].mean(), totals[1].mean() + 0.5 * totals[2].mean(), 1e-14);
  EXPECT_NEAR(totals[2].mean(), squares(toy, "dense.weight").item(), 1e-14);
}

TEST(LossTerms, ThatCountNothingAddNothing) {
  ToyRun with({.sgd = true}, penalized(1e6, 0)), without({.sgd = true});
  const auto metrics = with.trainer->step(with.loader->next());
  without.trainer->step(without.loader->next());
  EXPECT_EQ(metrics[2].count, 0);
  EXPECT_TRUE(
      test::is_close(with.parameters->values(), to_doubles(without.parameters->values()), 1e-15));
}

TEST(LossTerms, MoveWeightsWhereOneOfThemCounts) {
  ToyRun toy({.training = {.max_steps = 1}}, [&](ToyRun& run, const Batch& batch, Pass& pass) {
    ModelOutput output = penalized(1.0)(run, batch, pass);
    output.terms[0].count = 0;
    return output;
  });
  const Tensor before = toy.parameters->values().clone();
  toy.run();
  EXPECT_EQ(toy.trainer->state().skipped, 0);
  EXPECT_FALSE(test::same_bits(toy.parameters->values(), before));
}

TEST(LossTerms, OneAloneHasItsWeight) {
  ToyRun halved({.training = {.lr = 1.0}, .sgd = true}, [](ToyRun& run, const Batch& batch, Pass&) {
    ModelOutput output = run.evaluate(batch);
    output.terms[0].weight = 0.5;
    return output;
  });
  ToyRun plain({.training = {.lr = 0.5}, .sgd = true});
  const double loss = halved.trainer->step(halved.loader->next()).front().mean();
  EXPECT_EQ(loss, plain.trainer->step(plain.loader->next()).front().mean() / 2);
  EXPECT_TRUE(test::same_bits(halved.parameters->values(), plain.parameters->values()));
}

TEST(LossTerms, ThatAreNoNumbersAreNamed) {
  ToyRun toy({}, [&](ToyRun& run, const Batch& batch, Pass& pass) {
    ModelOutput output = penalized(1.0)(run, batch, pass);
    output.terms[1].sum = ops::log(ops::negate(output.terms[1].sum));
    return output;
  });
  EXPECT_EQ(error_of([&] { toy.run(); }),
            "[train] step 0: the loss 'penalty' is nan; first of all, log gave nan at element 0 of "
            "()");
}

TEST(LossTerms, ThatMakeNoSenseAreRefused) {
  const auto error = [](auto change) {
    ToyRun toy({}, [&](ToyRun& run, const Batch& batch, Pass& pass) {
      ModelOutput output = penalized(1.0)(run, batch, pass);
      change(output.terms);
      return output;
    });
    return error_of([&] { toy.run(); });
  };
  EXPECT_EQ(error([](auto& terms) { terms[1].name = "loss"; }),
            "[train] one of several terms must not be called 'loss', as their sum is");
  EXPECT_EQ(error([](auto& terms) { terms[1].weight = test::kInf; }),
            "[train] step 0: the weight of 'penalty' is inf; first of all, no operation on the "
            "tape gave it");
  EXPECT_THAT(error([](auto& terms) { terms[1].weight = -test::kNaN; }),
              ::testing::StartsWith("[train] step 0: the weight of 'penalty' is nan; "));
  EXPECT_EQ(error([](auto& terms) { terms[1].sum = {}; }),
            "[train] the loss was used before it was given a value");
  EXPECT_EQ(error([](auto& terms) { terms[1].count = -1; }),
            "[train] step 0: the model counted -1");
}

}  // namespace
}  // namespace maskgrad
