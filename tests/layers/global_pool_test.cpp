#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/global_pool.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using ::testing::ElementsAre;

const bool kRegistered =
    register_layer({"MeanPool", [] { return std::make_unique<GlobalPool>(); }}) &&
    register_layer({"MaxPool", [] { return std::make_unique<GlobalPool>(Pooling::kMax); }});

TEST(GlobalPool, TakesWhatExistsOfEachSequence) {
  // Sequences of 2, 0 and 3 positions; the first has a hole within.
  const SequenceMask mask = test::mask_of({1, 0, 1, 0, 0, 0, 1, 1, 1}, {3, 3});
  const Variable x(test::make({1, 100, -5, 100, 100, 100, -1, -2, -6}, {3, 3, 1}),
                   Variable::kConstant, mask);
  const Variable mean = GlobalPool()(x), largest = GlobalPool(Pooling::kMax)(x);
  EXPECT_THAT(test::to_doubles(mean.value()), ElementsAre(-2, 0, -3));
  EXPECT_THAT(test::to_doubles(largest.value()), ElementsAre(1, 0, -1));
  EXPECT_FALSE(mean.mask().defined());
}

TEST(GlobalPool, NeedsPositions) {
  EXPECT_EQ(test::error_of([] {
              GlobalPool()(Variable(test::make({1, 2}, {2})));
            }),
            "[GlobalPool] needs [B, S, ...], got (2,)");
}

}  // namespace
}  // namespace maskgrad
