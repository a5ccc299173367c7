#include "recipes/tasks/task_figures.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <maskgrad/layers/task_gate/entropy.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad::apps {
namespace {

using Sample = OperatorTasks::Sample;

constexpr auto kTasks = static_cast<std::size_t>(OperatorTasks::kTasks);
constexpr std::int64_t kAtOnce = 200;

struct Feature {
  const char* name;
  bool (*has)(const Sample& sample);
};

constexpr Feature kFeatures[] = {
    {"the left sign", [](const Sample& s) { return s.problem.left < 0; }},
    {"the right sign", [](const Sample& s) { return s.problem.right < 0; }},
    {"whether the signs are alike",
     [](const Sample& s) { return (s.problem.left < 0) == (s.problem.right < 0); }},
    {"the length", [](const Sample& s) { return s.lead > 1; }},
};

// The shares of all samples, and who was chosen for what.
struct Totals {
  ChoiceCounts operators{kTasks, kTasks};
  std::vector<ChoiceCounts> features{std::size(kFeatures), ChoiceCounts(2, kTasks)};
  std::vector<double> shares = std::vector<double>(kTasks);

  void add(const Choice& choice, const Batch& batch, const OperatorTasks& data) {
    operators.add(batch["task"], choice);
    const Tensor of = choice.shares.value().to(DType::kFloat64).to(Device{});
    for (std::int64_t i = 0; i < of.numel(); ++i) {
      shares[static_cast<std::size_t>(i) % kTasks] += std::as_const(of).data<double>()[i];
    }
    for (std::int64_t b = 0; b < batch.ids.numel(); ++b) {
      const Sample sample = data.sample(batch.ids.data<std::int64_t>()[b]);
      const auto best = static_cast<std::size_t>(choice.best.data<std::int64_t>()[b]);
      for (std::size_t f = 0; f < std::size(kFeatures); ++f) {
        features[f].add(kFeatures[f].has(sample) ? 1 : 0, best);
      }
    }
  }

  ChoiceFigures figures() const {
    ChoiceFigures figures{.entropy = entropy_of(shares),
                          .agreement = operators.agreement(),
                          .of_operator = operators.information(),
                          .of_others = {}};
    for (std::size_t f = 0; f < std::size(kFeatures); ++f) {
      figures.of_others.emplace_back(kFeatures[f].name, features[f].information());
    }
    return figures;
  }
};

}  // namespace

std::vector<std::string> other_features() {
  std::vector<std::string> names;
  for (const Feature& feature : kFeatures) names.emplace_back(feature.name);
  return names;
}

TaskFigures figures_of(
    TaskNetwork& network, const OperatorTasks& data,
    const std::function<void(std::int64_t done, std::int64_t all)>& on_progress) {
  const NoGrad no_grad;
  Totals totals;
  Metric accuracy{"accuracy"};
  for (std::int64_t first = 0; first < data.size(); first += kAtOnce) {
    std::vector<std::int64_t> ids(static_cast<std::size_t>(std::min(kAtOnce, data.size() - first)));
    std::iota(ids.begin(), ids.end(), first);
    const Batch batch = data.collate(ids);
    Pass pass;
    const Variable answer = network.answer(batch, pass);
    accuracy += to_metric("accuracy", ops::sequence_accuracy(answer, batch.targets)).read();
    if (network.chooses()) totals.add(network.choose(batch, pass), batch, data);
    if (on_progress) on_progress(first + std::ssize(ids), data.size());
  }
  return {accuracy, totals.operators, totals.figures()};
}

std::vector<std::vector<std::string>> choice_table(const ChoiceCounts& counts) {
  std::vector<std::vector<std::string>> table = {{"operator"}};
  for (std::size_t c = 0; c < kTasks; ++c) table[0].push_back(fmt::format("expert {}", c));
  for (std::size_t task = 0; task < kTasks; ++task) {
    table.push_back({std::string(1, kOperators[task])});
    const std::vector<double> shares = counts.shares(task);
    const bool was_asked = std::ranges::any_of(shares, [](double share) { return share > 0; });
    for (const double share : shares) {
      table.back().push_back(was_asked ? fmt::format("{:.1f} %", 100 * share) : "-");
    }
  }
  return table;
}

}  // namespace maskgrad::apps
