// Training a transformer gives the same bits on any number of threads.
#include <gtest/gtest.h>

#include "support/tensors.hpp"
#include "support/threads.hpp"
#include "train/small_training.hpp"

namespace maskgrad {
namespace {

TEST(ATransformersSteps, HaveTheSameBitsForAnyNumberOfThreads) {
  for (const test::SmallTrainingKind& kind : test::kSmallTrainings) {
    test::SmallTraining alone(kind);
    alone.run(2);
    for (const int threads : {2, 3, 5}) {
      const test::WithThreads several(threads);
      test::SmallTraining training(kind);
      training.run(2);
      EXPECT_TRUE(test::same_bits(training.weights(), alone.weights()))
          << kind.name << ", " << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace maskgrad
