#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/task_gate/choice.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using test::to_doubles;
using ::testing::DoubleNear;
using ::testing::ElementsAre;

double information(const Tensor& shares) {
  return to_doubles(mutual_information(choice_of(Variable(shares))).value())[0];
}

TEST(Choice, IsTheLargestShareOfEachSample) {
  const Tensor shares =
      make({0.2, 0.5, 0.3, /**/ 0.4, 0.4, 0.2, /**/ 0, 0, 0, /**/ 0, 0, 1}, {4, 3});
  for (const DType dtype : test::kFloatingDTypes) {
    EXPECT_THAT(choice_of(Variable(shares.to(dtype))).best.values<std::int64_t>(),
                ElementsAre(1, 0, -1, 2));
  }
  EXPECT_EQ(choice_of(Variable(Tensor::zeros({0, 3}, DType::kFloat64))).best.shape(), (Shape{0}));
}

TEST(Choice, CountsTheSamplesThatExist) {
  const Variable shares(make({0, 1, /**/ 0, 0, /**/ 1, 0}, {3, 2}));
  EXPECT_THAT(choice_of(shares, test::bits({0, 1, 1}, {3, 1})).best.values<std::int64_t>(),
              ElementsAre(-1, 0, 0));
}

TEST(Choice, IsMadeOfSharesThatAreNaN) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable shares(
        make({test::kNaN, test::kNaN, /**/ 0.3, 0.7, /**/ 0, test::kNaN}, {3, 2}).to(dtype));
    EXPECT_THAT(choice_of(shares).best.values<std::int64_t>(), ElementsAre(0, 1, 1));
    EXPECT_TRUE(std::isnan(information(shares.value())));
  }
}

TEST(MutualInformation, IsTheKullbackLeiblerDistanceOfTheSharesFromTheirMean) {
  // I = mean_b sum_c g_bc log(g_bc / mean_c), another way to write it.
  Random random(1);
  const Variable logits = test::leaf(test::uniform(random, {5, 3}));
  const Tensor g = ops::softmax(logits).value();
  const std::vector<double> p = to_doubles(g);
  double expected = 0;
  for (std::size_t c = 0; c < 3; ++c) {
    double mean = 0;
    for (std::size_t b = 0; b < 5; ++b) mean += p[b * 3 + c] / 5;
    for (std::size_t b = 0; b < 5; ++b) {
      expected += p[b * 3 + c] * std::log(p[b * 3 + c] / mean) / 5;
    }
  }
  EXPECT_THAT(information(g), DoubleNear(expected, 1e-14));
  EXPECT_TRUE(test::gradients_agree(
      [&] { return mutual_information(choice_of(ops::softmax(logits))); }, {{"logits", logits}}));
}

TEST(MutualInformation, GoesFromNothingToTheLogarithmOfTheCandidates) {
  EXPECT_THAT(information(make({0.2, 0.8, 0.2, 0.8}, {2, 2})), DoubleNear(0, 1e-15));
  EXPECT_THAT(information(make({1, 0, 0, 0, 0, 1, 0, 1, 0}, {3, 3})),
              DoubleNear(std::log(3), 1e-15));
  EXPECT_THAT(information(make({1, 0, 1, 0}, {2, 2})), DoubleNear(0, 1e-15));
  EXPECT_EQ(information(make({1}, {1, 1})), 0);
}

TEST(MutualInformation, DoesNotCountSamplesWithoutAChoice) {
  const Tensor some = make({0.3, 0.7, 0.9, 0.1}, {2, 2});
  const Tensor more = make({0, 0, 0.3, 0.7, 0, 0, 0.9, 0.1}, {4, 2});
  EXPECT_THAT(information(more), DoubleNear(information(some), 1e-15));
  EXPECT_EQ(information(Tensor::zeros({2, 3}, DType::kFloat64)), 0);
  EXPECT_EQ(information(Tensor::zeros({0, 3}, DType::kFloat64)), 0);
}

TEST(MutualInformation, SendsFiniteGradientsWhereAShareIsZero) {
  const Variable shares = test::leaf(make({1, 0, 0, 1, 0, 0}, {3, 2}));
  Tape tape;
  tape.backward(mutual_information(choice_of(shares)));
  for (const double g : to_doubles(shares.grad())) EXPECT_TRUE(std::isfinite(g));
  EXPECT_THAT(to_doubles(shares.grad()),
              ElementsAre(DoubleNear(std::log(2) / 2, 1e-15), ::testing::_, ::testing::_,
                          ::testing::_, 0, 0));
}

TEST(Choice, RefusesWhatIsNone) {
  EXPECT_EQ(error_of([] { choice_of(Variable()); }),
            "[choice] shares was used before it was given a value");
  EXPECT_EQ(error_of([] { choice_of(Variable(Tensor::zeros({3}, DType::kFloat64))); }),
            "[choice] needs shares [B, C], got (3,)");
  EXPECT_EQ(error_of([] {
              choice_of(Variable(Tensor::zeros({3, 0}, DType::kFloat64)));
            }),
            "[choice] needs shares [B, C], got (3, 0)");
  EXPECT_EQ(error_of([] {
              choice_of(Variable(Tensor::zeros({3, 2}, DType::kFloat64)), test::bits({1}, {1, 1}));
            }),
            "[choice] needs a bool for each of 3 samples, got bool (1, 1)");
  EXPECT_EQ(error_of([] { mutual_information({}); }),
            "[choice] shares or best was used before it was given a value");
}

}  // namespace
}  // namespace maskgrad
