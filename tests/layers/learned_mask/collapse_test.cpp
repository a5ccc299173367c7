#include <gmock/gmock.h>

#include <maskgrad/layers/learned_mask/collapse.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void observe(CollapseWatch& watch, const char* metric, double value, int times) {
  for (int i = 0; i < times; ++i) watch.observe(metric, value);
}

TEST(CollapseWatch, NamesTheRemedyForAMaskThatStaysShutOrOpen) {
  CollapseWatch watch(learned_mask_rules());
  observe(watch, "kept", 0.01, 499);
  observe(watch, "kept", 0.5, 1);
  observe(watch, "kept", 0.01, 499);
  EXPECT_THAT(watch.findings(), IsEmpty());
  observe(watch, "kept", 0.01, 1);
  EXPECT_THAT(watch.findings(), ElementsAre(AllOf(HasSubstr("kept was below 0.05 for 500 steps"),
                                                  HasSubstr("lower the cost"))));
  observe(watch, "kept", 0.97, 500);
  EXPECT_THAT(watch.findings(), ElementsAre(HasSubstr("raise the cost")));
}

TEST(CollapseWatch, ForgetsASignThatEnded) {
  CollapseWatch watch(learned_mask_rules());
  observe(watch, "kept", 0.98, 800);  // a mask that begins open
  observe(watch, "kept", 0.5, 1);
  EXPECT_THAT(watch.findings(), IsEmpty());
}

TEST(CollapseWatch, TakesTheLimitsThemselvesForSound) {
  CollapseWatch watch(learned_mask_rules());
  observe(watch, "kept", 0.05, 1000);
  observe(watch, "kept", 0.95, 1000);
  watch.observe("undecided", 0.1);
  watch.observe("hardening", -0.5);
  EXPECT_THAT(watch.findings(), IsEmpty());
}

TEST(CollapseWatch, SeesWhatIsWrongAtTheEnd) {
  CollapseWatch watch(learned_mask_rules());
  watch.observe("undecided", 0.2);
  watch.observe("hardening", 0.3);
  EXPECT_THAT(watch.findings(), ElementsAre(AllOf(HasSubstr("undecided was above 0.1: "),
                                                  HasSubstr("lower the temperature")),
                                            HasSubstr("hard masks")));
}

TEST(CollapseWatch, NamesTheKnobsOfAProgramWhereItSaysThem) {
  CollapseWatch watch(learned_mask_rules(
      {.drops_all = "pay less", .keeps_all = "pay more", .undecided = "wait", .hardening = "cut"}));
  observe(watch, "kept", 0.01, 500);
  watch.observe("undecided", 0.2);
  watch.observe("hardening", 0.3);
  EXPECT_THAT(watch.findings(), ElementsAre(EndsWith("the mask drops everything; pay less"),
                                            EndsWith("made up its mind; wait"), EndsWith("; cut")));
  observe(watch, "kept", 0.99, 500);
  EXPECT_THAT(watch.findings()[0], EndsWith("the mask keeps everything; pay more"));
}

TEST(CollapseWatch, NamesAMetricThatIsNoNumberOnceAndNothingElseForIt) {
  CollapseWatch watch(learned_mask_rules());
  observe(watch, "kept", test::kNaN, 1000);
  watch.observe("undecided", test::kNaN);
  EXPECT_THAT(watch.findings(), ElementsAre("kept was not a number", "undecided was not a number"));
}

// A run that is broken off at any step finds in the end what it would have found at one go.
TEST(CollapseWatch, GoesOnFromWhatItCounted) {
  const std::vector<double> values = {0.01, 0.01, test::kNaN, 0.99, 0.99, 0.99};
  const auto watch = [] {
    return CollapseWatch(
        {{"kept", 0.05, 1, 2, "shut", "open it"}, {"kept", 0, 0.95, 3, "open", "shut it"}});
  };
  CollapseWatch whole = watch();
  for (const double value : values) whole.observe("kept", value);
  EXPECT_EQ(whole.counts(), "0 0 1;0 3 1");
  ASSERT_THAT(whole.findings(), ::testing::SizeIs(2));
  for (std::size_t broken_at = 0; broken_at <= values.size(); ++broken_at) {
    CollapseWatch first = watch(), second = watch();
    for (std::size_t i = 0; i < broken_at; ++i) first.observe("kept", values[i]);
    second.restore(first.counts());
    for (std::size_t i = broken_at; i < values.size(); ++i) second.observe("kept", values[i]);
    EXPECT_EQ(second.findings(), whole.findings()) << broken_at;
  }
}

TEST(CollapseWatch, RefusesCountsThatAreNotOfItsRules) {
  CollapseWatch watch({{"kept", 0.05, 1, 2, "shut", "open it"}});
  watch.observe("kept", 0.01);
  for (const char* counts : {"", "1", "1 2", "1 2 ", "1 2 x", "-1 2 0", "1 2 0;", "1 2 0 0",
                             "1  2 0", "99999999999999999999 0 0", "1 2 0;1 2 0"}) {
    EXPECT_THAT(error_of([&] { watch.restore(counts); }), HasSubstr("[collapse] these are "))
        << counts;
    EXPECT_EQ(watch.counts(), "1 0 0") << "it is as it was";
  }
  CollapseWatch none({});
  none.restore(none.counts());
  EXPECT_THAT(error_of([&] { none.restore("1 2 0"); }), HasSubstr("[collapse] these are "));
}

TEST(CollapseWatch, TakesRulesOfOtherGates) {
  CollapseWatch watch({{"load", 1.0 / 12, 1, 3, "an expert is dead", "raise the balance"}});
  observe(watch, "load", 0.01, 3);
  EXPECT_THAT(watch.findings(), ElementsAre(HasSubstr("an expert is dead; raise the balance")));
  EXPECT_EQ(error_of([&] { watch.observe("entropy", 1); }),
            "[collapse] no rule is about 'entropy'");
  EXPECT_EQ(
      error_of([] {
        CollapseWatch({{"load", 2, 1, 3, "", ""}});
      }),
      "[collapse] a rule has a metric, low at most high, and a step at least; 'load' has 2, 1 "
      "and 3");
}

TEST(Undecided, IsTheMeanVarianceOfDecisions) {
  const double p[] = {0, 1, 0.5, 0.25};
  EXPECT_DOUBLE_EQ(undecided(p), (0.25 + 0.1875) / 4);
  EXPECT_EQ(undecided({}), 0);
}

}  // namespace
}  // namespace maskgrad
