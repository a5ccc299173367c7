// Gradient clipping in the trainer.
#include <cmath>

#include <gmock/gmock.h>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "tensor/toy_ops.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kInf;
using test::kNaN;
using test::same_bits;
using test::to_doubles;
using test::ToyRun;

// The gradient of the first batch's mean loss.
std::vector<double> first_gradient(ToyRun& toy) {
  const std::int64_t first_batch[] = {0, 1, 2, 3};
  Tape tape;
  tape.backward(toy.evaluate(toy.data.collate(first_batch)).loss.mean());
  return to_doubles(toy.parameters->gradients());
}

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

TEST(ClipNorm, ScalesTheGradientsOfAStepToTheNorm) {
  ToyRun toy({.training = {.lr = 0.5, .clip_norm = 0.01, .max_steps = 1}, .sgd = true});
  const std::vector<double> gradient = first_gradient(toy);
  std::vector<double> expected = to_doubles(toy.parameters->values());
  ASSERT_GT(norm(gradient), 0.1);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expected[i] -= 0.5 * 0.01 / (norm(gradient) + 1e-6) * gradient[i];
  }
  toy.run();
  EXPECT_TRUE(test::is_close(toy.parameters->values(), expected, 1e-14));
}

TEST(ClipNorm, ChangesNoBitOfStepsThatStayBelowIt) {
  ToyRun clipped({.training = {.lr = 0.01, .clip_norm = 1e6}}), plain({});
  clipped.run();
  plain.run();
  EXPECT_TRUE(same_bits(clipped.parameters->values(), plain.parameters->values()));
}

TEST(ClipNorm, ReportsTheNormBeforeClipping) {
  ToyRun toy({.training = {.clip_norm = 0.01}});
  const double expected = norm(first_gradient(toy));
  const PoolVector<Metric> metrics = toy.trainer->step(toy.loader->next());
  ASSERT_EQ(metrics.size(), 3U);
  EXPECT_EQ(metrics[0].name, "loss");
  EXPECT_EQ(metrics[2].name, "grad_norm");
  EXPECT_EQ(metrics[2].count, 1);
  EXPECT_NEAR(metrics[2].sum, expected, 1e-14);
}

TEST(ClipNorm, ReportsNothingWhenItIsOff) {
  ToyRun toy({});
  for (const Metric& metric : toy.trainer->step(toy.loader->next())) {
    EXPECT_NE(metric.name, "grad_norm");
  }
}

// The third step's gradients are `bad`, its loss is not.
std::string error_of_gradients(double bad) {
  ToyRun* self = nullptr;
  int step = 0;
  ToyRun toy({.training = {.clip_norm = 1}}, [&](const Batch& batch) {
    ModelOutput output = self->evaluate(batch);
    if (step++ == 2) {
      output.loss.sum = test::with_rule(output.loss.sum, [bad](const Tensor& g, Gradients& grads) {
        grads.set(0, Tensor::full(g.shape(), bad, DType::kFloat64));
      });
    }
    return output;
  });
  self = &toy;
  Tensor before;
  test::Notes::Kept kept;
  toy.trainer->add(std::make_unique<test::Notes>(
      kept, [&](const StepInfo&) { before = toy.parameters->values().clone(); }));
  const std::string text = error_of([&] { toy.run(); });
  EXPECT_EQ(kept.losses.size(), 2U);
  EXPECT_TRUE(same_bits(toy.parameters->values(), before));
  EXPECT_EQ(toy.optimizer->steps(), 2);
  return text;
}

TEST(ClipNorm, RefusesGradientsThatAreNotFiniteAndChangesNothing) {
  for (const double bad : {kNaN, kInf}) {
    EXPECT_EQ(error_of_gradients(bad),
              "[train] step 2: the gradient of embed.weight is not finite, so that clip_norm "
              "cannot be kept: a smaller learning rate may help");
  }
  EXPECT_EQ(error_of_gradients(1e200),
            "[train] step 2: the squares of the gradients overflow, so that clip_norm cannot be "
            "kept: a smaller learning rate may help");
}

}  // namespace
}  // namespace maskgrad
