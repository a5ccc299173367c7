#include <cmath>
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/data_loader.hpp>
#include <maskgrad/train/data/working_steps.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::same_bits;

std::vector<std::int64_t> first_ids(std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(WorkingSteps, GiveEachTokenTheOneBehindItAndAskForTheSteps) {
  for (const std::int64_t max_val : {100, 1000, 10}) {
    const WorkingSteps data({.samples = 50, .max_val = max_val, .seed = 3});
    const std::vector<std::int64_t> ids = first_ids(50);
    const Batch batch = data.collate(ids);
    const std::int64_t width = batch.inputs.dim(1);
    const auto row = [&](const Tensor& x, std::int64_t b) {
      return x.values<std::int64_t>().subspan(static_cast<std::size_t>(b * width),
                                              static_cast<std::size_t>(width));
    };
    for (std::int64_t b = 0; b < 50; ++b) {
      const ArithmeticProblem problem = data.problem(b);
      const std::string prompt = fixed_prompt(problem, data.digits()),
                        text = prompt + working_steps(problem, data.digits());
      const std::size_t padding = static_cast<std::size_t>(width) + 1 - text.size();
      EXPECT_EQ(arithmetic_text(row(batch.inputs, b)),
                text.substr(0, text.size() - 1) + std::string(padding, ' '));
      EXPECT_EQ(arithmetic_text(row(batch.targets, b)), text.substr(1) + std::string(padding, ' '));
      for (std::int64_t s = 0; s < width; ++s) {
        const auto next = static_cast<std::size_t>(s) + 1;
        EXPECT_EQ(batch["asked"].data<bool>()[b * width + s],
                  next >= prompt.size() && next < text.size());
      }
    }
  }
}

TEST(WorkingSteps, HoldNoPairThatIsHeldOutAndNoNumberThatIsTooLarge) {
  const WorkingSteps data({.samples = 3000, .max_val = 100, .seed = 1});
  for (std::int64_t i = 0; i < 3000; ++i) {
    const ArithmeticProblem problem = data.problem(i);
    EXPECT_FALSE(is_held_out(problem.x, problem.y));
    EXPECT_LT(std::abs(problem.x), 100);
    EXPECT_LT(std::abs(problem.y), 100);
  }
}

TEST(WorkingSteps, BeginWithRareProblemsAndEndWithFew) {
  const WorkingSteps data({.samples = 20000, .seed = 1, .rare = 1, .rare_until = 20000});
  const auto zeros = [&](std::int64_t first) {
    std::int64_t count = 0;
    for (std::int64_t i = first; i < first + 2000; ++i) {
      count += data.problem(i).x == 0 || data.problem(i).y == 0;
    }
    return count;
  };
  EXPECT_GT(zeros(0), 250) << "about a sixth";
  EXPECT_LT(zeros(18000), 100) << "a hundredth, and a sixth of a twentieth";
}

TEST(WorkingSteps, AreMadeOfTheirNumbersAlone) {
  const WorkingStepsData numbers = {.samples = 100, .max_val = 100, .seed = 7};
  const WorkingSteps data(numbers), again(numbers);
  const std::int64_t some[] = {7, 3}, one[] = {3};
  EXPECT_TRUE(same_bits(data.collate(some).inputs, again.collate(some).inputs));
  const Batch alone = data.collate(one);
  const auto width = static_cast<std::size_t>(alone.inputs.dim(1));
  const Batch both = data.collate(some);
  const auto second = both.inputs.values<std::int64_t>().subspan(
      static_cast<std::size_t>(both.inputs.dim(1)), width);
  EXPECT_TRUE(std::ranges::equal(alone.inputs.values<std::int64_t>(), second));
  WorkingStepsData other = numbers;
  other.seed = 8;
  EXPECT_NE(WorkingSteps(other).fingerprint(), data.fingerprint());
  EXPECT_EQ(data.fingerprint(),
            "100 problems an epoch, numbers below 100, of seed 7, not held out, rare 0.25 until "
            "1000000");
}

TEST(WorkingSteps, AreNewInEachEpochAndGoOnWhereTheLastOneEnded) {
  const WorkingSteps short_epochs({.samples = 30, .seed = 4}), long_one({.samples = 90, .seed = 4});
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<std::int64_t> ids = first_ids(30);
    std::vector<std::int64_t> in_all;
    for (const std::int64_t id : ids) in_all.push_back(30 * epoch + id);
    EXPECT_TRUE(
        same_bits(short_epochs.collate_in(epoch, ids).inputs, long_one.collate(in_all).inputs));
  }
  DataLoader loader(short_epochs, {.batch_size = 30});
  const Batch first = loader.next(), second = loader.next();
  EXPECT_TRUE(same_bits(first.inputs, short_epochs.collate_in(0, first_ids(30)).inputs));
  EXPECT_TRUE(same_bits(second.inputs, short_epochs.collate_in(1, first_ids(30)).inputs));
}

TEST(WorkingSteps, AreOnlyOfPairsThatAreHeldOutWhereTheyAreToBe) {
  const WorkingSteps data({.samples = 2000, .seed = 1, .held_out = true});
  for (std::int64_t i = 0; i < 2000; ++i) {
    EXPECT_TRUE(is_held_out(data.problem(i).x, data.problem(i).y));
  }
}

TEST(WorkingSteps, RefuseNumbersThatAreNone) {
  const auto error = [](const WorkingStepsData& data) {
    return error_of([&] { WorkingSteps made(data); });
  };
  EXPECT_EQ(error({.samples = -1}), "[arithmetic] samples must be from 0 to 2^40, not -1");
  EXPECT_EQ(error({.max_val = 0}), "[arithmetic] max-val must be 1 to 1000000000, not 0");
  EXPECT_EQ(error({.max_val = 1}), "[arithmetic] max-val must be at least 2 for working steps");
  EXPECT_EQ(error({.rare = 1.5}),
            "[arithmetic] the share of rare problems must be from 0 to 1, not 1.5");
  EXPECT_EQ(error({.rare_until = 0}), "[arithmetic] rare_until must be at least 1, not 0");
  const WorkingSteps data({.samples = 2});
  EXPECT_EQ(error_of([&] { data.problem(0, -1); }), "[arithmetic] there is no epoch -1");
  EXPECT_EQ(error_of([&] { data.problem(2); }), "[arithmetic] there is no sample 2: there are 2");
}

}  // namespace
}  // namespace maskgrad
