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
  const LossTerm loss = toy.evaluate(toy.data.collate(first_batch)).terms.front();
  tape.backward(loss.sum, 1.0 / static_cast<double>(loss.count));
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

// The loss of the toy model times `factor`, backward alone.
test::ToyModel steep(double factor) {
  return [factor](ToyRun& toy, const Batch& batch, Pass&) {
    ModelOutput output = toy.evaluate(batch);
    output.terms[0].sum =
        test::with_rule(output.terms[0].sum, [factor](const Tensor& g, Gradients& grads) {
          grads.set(0, Tensor::full(g.shape(), factor * g.item(), g.dtype()));
        });
    return output;
  };
}

// In float64, squares of 1e200 overflow and those of 1e-200 vanish; in float32, a factor that
// scales 1e38 down to 0.01 has no normal number.
TEST(ClipNorm, KeepsTheNormOfGradientsOfAnySize) {
  for (const auto& [dtype, factor, clip_norm] : {std::tuple(DType::kFloat64, 1e200, 0.01),
                                                 {DType::kFloat64, 1e-200, 1e-202},
                                                 {DType::kFloat64, 1e300, 1.0},
                                                 {DType::kFloat32, 1e38, 0.01},
                                                 {DType::kFloat32, 3e37, 1.0}}) {
    ToyRun gentle({.dtype = dtype});
    const std::vector<double> gradient = first_gradient(gentle);
    const double lr = 0.1 / clip_norm;
    ToyRun toy({.training = {.lr = lr, .clip_norm = clip_norm, .max_steps = 1},
                .dtype = dtype,
                .sgd = true},
               steep(factor));
    std::vector<double> expected = to_doubles(toy.parameters->values());
    const double divisor = norm(gradient) + 1e-6 / factor;
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] -= 0.1 * gradient[i] / divisor;
    toy.run();
    EXPECT_TRUE(
        test::is_close(toy.parameters->values(), expected, dtype == DType::kFloat32 ? 1e-6 : 1e-13))
        << to_string(dtype) << " " << factor;
  }
}

TEST(ClipNorm, LeavesGradientsAloneForANormBeyondThem) {
  ToyRun clipped({.training = {.lr = 0.01, .clip_norm = 1e308}}), plain({});
  clipped.run();
  plain.run();
  EXPECT_TRUE(same_bits(clipped.parameters->values(), plain.parameters->values()));
}

// What the first step's error says, and that it moved nothing.
std::string first_error(double factor, double clip_norm) {
  ToyRun toy({.training = {.clip_norm = clip_norm}}, steep(factor));
  const Tensor before = toy.parameters->values().clone();
  const std::string text = error_of([&] { toy.run(); });
  EXPECT_TRUE(same_bits(toy.parameters->values(), before));
  EXPECT_EQ(toy.optimizer->steps(), 0);
  return text;
}

TEST(ClipNorm, SaysWhatItCannotKeepAndChangesNothing) {
  EXPECT_THAT(first_error(kNaN, 1), ::testing::StartsWith("[train] step 0: the gradient of "));
  EXPECT_THAT(first_error(kInf, 1), ::testing::StartsWith("[train] step 0: the gradient of "));
  EXPECT_THAT(
      first_error(1e10, 1e-300),
      ::testing::MatchesRegex("\\[train\\] step 0: the gradients have norm [0-9.e+]+; scaled "
                              "to clip_norm 1e-300 nothing is left of them"));
}

}  // namespace
}  // namespace maskgrad
