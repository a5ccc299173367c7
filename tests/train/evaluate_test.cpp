// A model on data that it is not trained on.
#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/train/evaluate.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "train/toy_run.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::ToyRun;

TEST(Evaluate, CountsEverySampleOnceForAnySizeOfBatches) {
  ToyRun toy({});
  const Model model = [&](const Batch& batch, Pass&) { return toy.evaluate(batch); };
  // Sample by sample, which no batch has a part in.
  double loss = 0, hits = 0;
  for (std::int64_t i = 0; i < toy.data.size(); ++i) {
    const ModelOutput output = toy.evaluate(toy.data.collate({&i, 1}));
    loss += output.terms[0].sum.item();
    hits += output.metrics.front().sum.item();
  }
  for (const std::int64_t size : {1, 3, 4, 10, 100}) {
    const std::vector<Metric> totals = evaluate(model, toy.data, size);
    ASSERT_EQ(totals.size(), 2U);
    EXPECT_EQ(totals[0].name, "loss");
    EXPECT_NEAR(totals[0].sum, loss, 1e-12);
    EXPECT_EQ(totals[0].count, 10);
    EXPECT_EQ(totals[1].name, "accuracy");
    EXPECT_EQ(totals[1].sum, hits);
  }
}

// Terms that count sample i (i + 1) mod 3 and (i + 2) mod 3 times: the first is 1 for each, the
// second i.
TEST(Evaluate, DividesEachTermByWhatItCountsInAllBatches) {
  ToyRun toy({});
  const auto counts = [](std::int64_t id, std::int64_t shift) { return (id + shift) % 3; };
  const Model model = [&](const Batch& batch, Pass&) {
    double first = 0, second = 0;
    std::int64_t first_count = 0, second_count = 0;
    for (const std::int64_t id : batch.ids.values<std::int64_t>()) {
      first += static_cast<double>(counts(id, 1));
      first_count += counts(id, 1);
      second += static_cast<double>(id * counts(id, 2));
      second_count += counts(id, 2);
    }
    const auto scalar = [](double x) { return Variable(Tensor::full({}, x, DType::kFloat64)); };
    return ModelOutput{{{"first", scalar(first), first_count, 1.0},
                        {"second", scalar(second), second_count, 0.5}}};
  };
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t id = 0; id < 10; ++id) {
    sum += static_cast<double>(id * counts(id, 2));
    count += counts(id, 2);
  }
  for (const std::int64_t size : {1, 3, 10}) {
    const std::vector<Metric> totals = evaluate(model, toy.data, size);
    ASSERT_EQ(totals.size(), 3U);
    EXPECT_NEAR(totals[0].mean(), 1.0 + 0.5 * sum / static_cast<double>(count), 1e-14) << size;
    EXPECT_EQ(totals[2].name, "second");
    EXPECT_EQ(totals[2].sum, sum);
    EXPECT_EQ(totals[2].count, count);
  }
}

TEST(Evaluate, RefusesALossThatIsNotFinite) {
  ToyRun toy({});
  int calls = 0;
  const Model model = [&](const Batch& batch, Pass&) {
    ModelOutput output = toy.evaluate(batch);
    if (calls++ == 1) output.terms[0].sum = ops::scale(output.terms[0].sum, -test::kNaN);
    return output;
  };
  EXPECT_EQ(error_of([&] { evaluate(model, toy.data, 4); }), "[eval] batch 1: the loss is nan");
  calls = 0;
  EXPECT_THROW(evaluate(model, toy.data, 4), Diverged);
}

TEST(Evaluate, NamesTheFirstOperationThatGaveNoNumber) {
  ToyRun toy({});
  const Model model = [&](const Batch& batch, Pass&) {
    ModelOutput output = toy.evaluate(batch);
    output.terms[0].sum = ops::log(ops::negate(ops::exp(output.terms[0].sum)));
    return output;
  };
  EXPECT_EQ(error_of([&] { evaluate(model, toy.data, 4); }),
            "[eval] batch 0: the loss is nan; first of all, log gave nan at element 0 of ()");
}

TEST(Evaluate, SaysInWhichBatchAModelNeededANumber) {
  ToyRun toy({});
  int calls = 0;
  const Model model = [&](const Batch& batch, Pass&) {
    if (calls++ == 1) throw NotFiniteError("decide", "a logit is NaN");
    return toy.evaluate(batch);
  };
  EXPECT_EQ(error_of([&] { evaluate(model, toy.data, 4); }),
            "[eval] batch 1: decide: a logit is NaN");
  calls = 0;
  EXPECT_THROW(evaluate(model, toy.data, 4), Diverged);
}

TEST(Evaluate, RefusesDataInWhichNothingCounts) {
  ToyRun toy({});
  const Model model = [&](const Batch& batch, Pass&) {
    ModelOutput output = toy.evaluate(batch);
    output.terms[0].sum = ops::scale(output.terms[0].sum, 0.0);
    output.terms[0].count = 0;
    return output;
  };
  EXPECT_EQ(error_of([&] { evaluate(model, toy.data, 4); }),
            "[eval] nothing in the 10 samples counts for the loss");
}

TEST(Evaluate, RefusesAModelThatChangesItsMetrics) {
  ToyRun toy({});
  int calls = 0;
  const auto with = [&](auto change) {
    calls = 0;
    return [&, change](const Batch& batch, Pass&) {
      ModelOutput output = toy.evaluate(batch);
      if (calls++ == 1) change(output.metrics);
      return output;
    };
  };
  const auto more = with([](auto& metrics) { metrics.push_back({"more", 1, 1}); });
  EXPECT_EQ(error_of([&] { evaluate(more, toy.data, 4); }),
            "[eval] the model gave 3 metrics, before it gave 2");
  const auto renamed = with([](auto& metrics) { metrics[0].name = "hits"; });
  EXPECT_EQ(error_of([&] { evaluate(renamed, toy.data, 4); }),
            "[eval] the model gave metric 'hits', before it gave 'accuracy'");
}

TEST(Evaluate, RefusesMetricsThatTablesCannotTellApart) {
  ToyRun toy({});
  const auto error_with = [&](const std::string& name) {
    const Model model = [&](const Batch& batch, Pass&) {
      ModelOutput output = toy.evaluate(batch);
      output.metrics.push_back({name, 1, 1});
      return output;
    };
    return error_of([&] { evaluate(model, toy.data, 4); });
  };
  for (const std::string column : {"epoch", "steps", "seconds"}) {
    EXPECT_EQ(error_with(column), "[eval] a metric must not be called '" + column +
                                      "', as a column of the run's tables is");
  }
  EXPECT_EQ(error_with("accuracy"), "[eval] two metrics are called 'accuracy'");
  EXPECT_EQ(error_with("loss"), "[eval] two metrics are called 'loss'");
  EXPECT_EQ(error_with("stride"), "no error");
}

}  // namespace
}  // namespace maskgrad
