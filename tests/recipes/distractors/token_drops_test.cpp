#include "recipes/distractors/token_drops.hpp"

#include <cmath>
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/operators.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/distractors.hpp>

#include "support/tensors.hpp"

namespace maskgrad::apps {
namespace {

using test::to_doubles;
using ::testing::ElementsAre;

Batch problems(std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  return Distractors({.samples = count, .seed = 2}).collate(ids);
}

TEST(RandomDrops, LeaveHalfOfTheSequencesWholeAndTheOthersShort) {
  const Batch batch = problems(2000);
  Pass pass = Pass::training(1, 1);
  const SequenceMask exists = existing(batch), kept = random_drops(batch, 0.8, pass);
  const std::int64_t length = batch.inputs.dim(1);
  int whole = 0;
  double most = 0;
  for (std::int64_t b = 0; b < batch.inputs.dim(0); ++b) {
    double before = 0, after = 0;
    for (std::int64_t i = b * length; i < (b + 1) * length; ++i) {
      const bool was = exists.bits().data<bool>()[i], is = kept.bits().data<bool>()[i];
      ASSERT_TRUE(was || !is) << "padding came back";
      const bool asks = batch.inputs.data<std::int64_t>()[i] == Distractors::kAsking;
      ASSERT_TRUE(is || !asks) << "a token that asks is gone";
      before += was && !asks;
      after += is && !asks;
    }
    whole += before == after;
    most = std::max(most, 1 - after / before);
  }
  // Half lose nothing, and few of the others by chance: their share is below 0.8 times uniform.
  EXPECT_NEAR(whole, 1050, 120);
  EXPECT_GT(most, 0.75);
}

TEST(ByTurns, TakesRowsOfBoth) {
  const SequenceMask even(Tensor::full({3, 2}, true, DType::kBool)),
      odd(Tensor::full({3, 2}, false, DType::kBool));
  EXPECT_THAT(to_doubles(by_turns(even, odd).bits()), ElementsAre(1, 1, 0, 0, 1, 1));
}

TEST(SeveralOfEach, RepeatsTheFirstRows) {
  const Batch batch = problems(9), rows = several_of_each(batch, 4);
  ASSERT_EQ(rows.inputs.dim(0), 8);
  for (std::int64_t r = 0; r < 8; ++r) {
    EXPECT_EQ(to_doubles(rows.inputs[r]), to_doubles(batch.inputs[r / 4]));
    EXPECT_EQ(to_doubles(rows.targets[r]), to_doubles(batch.targets[r / 4]));
    EXPECT_EQ(to_doubles(rows["use"][r]), to_doubles(batch["use"][r / 4]));
  }
  EXPECT_EQ(several_of_each(problems(3), 4).inputs.dim(0), 4) << "one row at least";
}

// Of 1000 tokens that are kept, and behind them as many that are lost.
Variable kept_and_lost() {
  Tensor keep = Tensor::zeros({1, 2000}, DType::kFloat64);
  std::fill_n(keep.data<double>(), 1000, 1.0);
  return test::leaf(keep);
}

// The mean of exp(-16 u) is (1 - exp(-16)) / 16.
TEST(Faded, KeepsOneAndMakesAnyWeightOfZero) {
  const Variable keep = kept_and_lost();
  Pass pass = Pass::training(1, 1);
  const std::vector<double> weights = to_doubles(faded(keep, keep, pass).value());
  double sum = 0;
  for (std::size_t i = 0; i < 2000; ++i) {
    if (i < 1000) {
      EXPECT_EQ(weights[i], 1);
    } else {
      EXPECT_TRUE(weights[i] > 1e-7 && weights[i] <= 1);
      sum += weights[i];
    }
  }
  EXPECT_NEAR(sum / 1000, (1 - std::exp(-16.0)) / 16, 0.025);
}

// f(w) = w / (w + e^-5) falls where log w is near -5, far from 1 and from 0.
TEST(Faded, GivesALostTokenTheGradientOfWhatItIsWorth) {
  const Variable keep = kept_and_lost();
  const double half = std::exp(-5.0);
  Pass pass = Pass::training(1, 1);
  Tape tape;
  const Variable weight = faded(keep, keep, pass);
  tape.backward(ops::sum(weight / (weight + half)));
  const std::vector<double> gradients = to_doubles(keep.grad());
  const double mean = std::accumulate(gradients.begin() + 1000, gradients.end(), 0.0) / 1000;
  const double lost = std::exp(-16.0), worth = 1 / (1 + half) - lost / (lost + half);
  EXPECT_NEAR(mean, worth, 0.15);  // its standard error is 0.04
}

}  // namespace
}  // namespace maskgrad::apps
