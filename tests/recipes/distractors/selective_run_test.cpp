#include "recipes/distractors/selective_run.hpp"

#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/distractors.hpp>

#include "recipes/flags.hpp"

namespace maskgrad::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr SelectiveSizes kSmall = {.length = 40, .features = 8, .layers = 1, .heads = 2};

TEST(SelectiveRun, AdvisesFlagsOfTheRecipe) {
  SelectiveRun run({.predictor = kSmall, .selector = kSmall, .steps = 20});
  run.observe_end(/*undecided=*/0.25, /*hardening=*/1);
  const std::vector<std::string> warnings = run.warnings();
  EXPECT_THAT(warnings, SizeIs(2));
  for (const std::string& warning : warnings) test::expect_flags(warning, "distractors");
}

// What a mask that keeps nothing, and one that keeps all, is told under each price: what is priced
// must cost more where there is too much of it, and else less.
TEST(SelectiveRun, AdvisesToTurnTheCostTheRightWay) {
  for (const Price price : {Price::kKept, Price::kMasked}) {
    for (const bool drops_all : {true, false}) {
      SelectiveRun run({.price = price, .predictor = kSmall, .selector = kSmall, .steps = 20});
      run.restore(drops_all ? "500 0 0;0 0 0;0 0 0;0 0 0" : "0 0 0;0 500 0;0 0 0;0 0 0");
      const std::vector<std::string> warnings = run.warnings();
      ASSERT_THAT(warnings, SizeIs(1));
      test::expect_flags(warnings[0], "distractors");
      const bool too_much_is_priced = drops_all == (price == Price::kMasked);
      EXPECT_THAT(warnings[0], HasSubstr(too_much_is_priced ? "; raise --cost" : "; lower --cost"));
    }
  }
}

// Of the loss of a step late in the phase that selects. The mask is still open, so the task does
// not suffer.
double weight_of_cost(const std::string& sampler) {
  SelectiveRun run(
      {.sampler = sampler, .cost = 0.5, .predictor = kSmall, .selector = kSmall, .steps = 1000});
  const ParameterBuffer parameters(run, DType::kFloat64, 1);
  std::vector<std::int64_t> ids(8);
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  const Batch batch = Distractors({.samples = 8}).collate(ids);
  Tape tape;
  Pass pass = Pass::training(1, 840);
  for (const LossTerm& term : run.evaluate(batch, pass).terms) {
    if (term.name == std::string("cost")) return term.weight;
  }
  return -1;
}

TEST(SelectiveRun, LetsStraightThroughPayAPartOfTheCost) {
  EXPECT_NEAR(weight_of_cost("gumbel"), 0.5, 1e-12);
  EXPECT_NEAR(weight_of_cost("straight-through"), 0.4 * 0.5, 1e-12);
}

}  // namespace
}  // namespace maskgrad::apps
