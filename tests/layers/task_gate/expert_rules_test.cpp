#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/task_gate/expert_rules.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Four samples, the second without positions.
Choice some_choice() {
  return choice_of(
      Variable(make({0.9, 0.1, 0, /**/ 0, 0, 0, /**/ 0.2, 0.5, 0.3, /**/ 0.7, 0.3, 0}, {4, 3})));
}

TEST(ExpertRules, HaveTheLoadsOfSamplesThatCount) {
  EXPECT_THAT(loads_of(some_choice()),
              ElementsAre(DoubleNear(2. / 3, 1e-15), DoubleNear(1. / 3, 1e-15), 0));
  EXPECT_THAT(loads_of(choice_of(Variable(Tensor::zeros({2, 3}, DType::kFloat32)))), Each(0));
  EXPECT_THAT(loads_of(choice_of(Variable(Tensor::zeros({0, 3}, DType::kFloat32)))), Each(0));
}

TEST(ExpertRules, RefuseAChoiceOfNoCandidate) {
  Choice choice = some_choice();
  choice.best = Tensor::full({4}, 3, DType::kInt64);
  EXPECT_EQ(error_of([&] { loads_of(choice); }), "[choice] a best of 3 is none of 3 candidates");
}

TEST(ExpertRules, HaveTheEntropyOfTheMeanChoice) {
  double expected = 0;
  for (const double mean : {1.8 / 3, 0.9 / 3, 0.3 / 3}) expected -= mean * std::log(mean);
  EXPECT_THAT(test::to_doubles(mean_entropy(some_choice()).value())[0],
              DoubleNear(expected, 1e-15));
  const Choice none = choice_of(Variable(Tensor::zeros({2, 3}, DType::kFloat64)));
  EXPECT_EQ(test::to_doubles(mean_entropy(none).value())[0], 0);
}

void observe(CollapseWatch& watch, const char* metric, double value, int times) {
  for (int i = 0; i < times; ++i) watch.observe(metric, value);
}

TEST(ExpertRules, FindAnExpertThatServesNobodyForLong) {
  CollapseWatch watch(expert_rules(3));
  observe(watch, "load 1", 0.08, 299);
  observe(watch, "load 1", 1. / 12, 1000);
  observe(watch, "load 0", 0.08, 150);
  observe(watch, "load 2", 0.08, 299);
  EXPECT_THAT(watch.findings(), IsEmpty());
  observe(watch, "load 2", 0.08, 1);
  EXPECT_THAT(watch.findings(),
              ElementsAre(AllOf(HasSubstr("load 2 was below 0.083"), HasSubstr("for 300 steps"),
                                HasSubstr("price of imbalance"))));
}

TEST(ExpertRules, FindAGateThatGivesAllToFew) {
  CollapseWatch watch(expert_rules(3));
  watch.observe("entropy", 0.9 * std::log(3));
  EXPECT_THAT(watch.findings(), IsEmpty());
  watch.observe("entropy", 0.9 * std::log(3) - 1e-3);
  EXPECT_THAT(watch.findings(), ElementsAre(HasSubstr("few experts serve all")));
}

TEST(ExpertRules, NameTheKnobsOfAProgramWhereItSaysThem) {
  CollapseWatch watch(expert_rules(3, {.unused = "share more", .few = "wait"}));
  observe(watch, "load 2", 0, 300);
  watch.observe("entropy", 0);
  EXPECT_THAT(watch.findings(),
              ElementsAre(EndsWith("; share more"), EndsWith("few experts serve all; wait")));
}

TEST(ExpertRules, FindNothingInOneExpert) {
  CollapseWatch watch(expert_rules(1));
  observe(watch, "load 0", 1, 1000);
  watch.observe("entropy", 0);
  EXPECT_THAT(watch.findings(), IsEmpty());
}

TEST(ExpertRules, RefuseWhatIsNone) {
  EXPECT_EQ(error_of([] { expert_rules(0); }), "[experts] rules need an expert");
  EXPECT_EQ(error_of([] { loads_of({}); }),
            "[choice] shares or best was used before it was given a value");
}

}  // namespace
}  // namespace maskgrad
