#include "recipes/tasks/tasks_model.hpp"

#include <algorithm>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/arithmetic.hpp>

#include "recipes/existing.hpp"
#include "recipes/tasks/task_figures.hpp"
#include "recipes/tasks/task_text.hpp"
#include "recipes/written_number.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kExamined = 4000;

// Whether a parameter of this name is there to choose, and not to answer.
bool chooses(std::string_view parameter) {
  return !parameter.starts_with("shared") && !parameter.starts_with("mixture.expert");
}

TaskOptions options_of(const Settings& settings) {
  const std::int64_t length = OperatorTasks(operator_task_data(settings)).length();
  return {.choice = task_choice_from_string(settings.text("choice")),
          .experts_see_all = settings.text("experts_see") == "all",
          .solver = {length, settings.integer("features"), settings.integer("hidden")},
          .gate = {settings.integer("gate_features"), settings.integer("gate_layers"),
                   settings.integer("heads")},
          .balance = settings.real("balance"),
          .evenness = settings.real("evenness"),
          .drops = settings.real("drops"),
          .steps = settings.integer("steps"),
          .warm_up = settings.real("warm_up"),
          .alone = settings.real("alone")};
}

class TasksModel : public RecipeModel {
 public:
  explicit TasksModel(const Settings& settings)
      : data_(operator_task_data(settings)),
        choice_(settings.text("choice")),
        network_(options_of(settings)),
        watch_(static_cast<std::size_t>(OperatorTasks::kTasks), other_features()) {}

  Module& module() override { return network_; }
  // The choice stands still in a phase that learns nothing of it.
  std::vector<ParameterGroup> parameter_groups() const override {
    const auto owns = [](std::string_view name, const Shape&) { return chooses(name); };
    return {{.name = "choice", .owns = owns, .rests = true}};
  }
  std::int64_t best_from() const override { return network_.chosen_from(); }
  Abilities abilities() const override {
    return {.writes_steps = network_.chooses(), .is_examined = true, .is_examined_at_end = true};
  }

  ModelOutput evaluate(const Batch& batch, Pass& pass) override {
    Choice choice;
    ModelOutput output = network_.evaluate(batch, pass, &choice);
    if (pass.is_training() && choice.best.defined()) watch_.observe(choice);
    return output;
  }

  ModelOutput evaluate_whole(const Batch& batch, Pass& pass) override {
    return network_.evaluate_whole(batch, pass);
  }

  std::vector<LayerSummary> summarize(const Batch& batch) override {
    const std::int64_t rows = batch.inputs.dim(0);
    const Shape answer = batch.targets.shape();
    std::vector<LayerSummary> table;
    const auto add_solver = [&](const std::string& name) {
      const auto owns = [&](std::string_view parameter) { return parameter.starts_with(name); };
      table.push_back({name, "ProblemSolver", answer, values_of(owns), MaskRule::kEnds});
    };
    if (!network_.chooses()) {
      add_solver("shared");
      return table;
    }
    const Shape shares = {rows, OperatorTasks::kTasks};
    table.push_back({"choice", "Choice", shares, values_of(chooses), MaskRule::kEnds});
    for (std::int64_t c = 0; c < OperatorTasks::kTasks; ++c) {
      add_solver(fmt::format("mixture.expert{}", c));
    }
    return table;
  }

  std::string sample_text() const override { return example_of_task(data_.from); }

  // Token by token: each is written behind those before it. The expert is the only step on the way.
  Prediction predict(const std::string& text, const PredictOptions& options) override {
    const Prediction prediction = predicted(task_sample(text, data_.from)).prediction;
    if (options.on_steps && !prediction.steps.empty()) options.on_steps(prediction.steps);
    return prediction;
  }

  Reading read(const std::string& text) override {
    const Predicted predicted = this->predicted(task_sample(text, data_.from));
    const Batch& batch = predicted.batch;
    Reading reading = {.labels = task_labels(batch),
                       .exists = existing(batch),
                       .prediction = predicted.prediction};
    reading.given = batch.inputs.numel() - OperatorTasks::kWritten;
    reading.position = reading.given - 1;
    reading.position_does = "asks for the answer";
    reading.answers_are = "answer";
    reading.batch = batch;
    reading.run = [this, batch](Pass& pass) { network_.answer(batch, pass); };
    return reading;
  }

  std::optional<Examination> examine(const ExamineOptions& options) override {
    OperatorTaskData of = data_;
    of.samples = options.samples > 0 ? options.samples : kExamined;
    of.seed = kExaminedSeed;
    of.held_out = true;
    const TaskFigures figures = figures_of(network_, OperatorTasks(of), options.on_progress);
    if (network_.chooses()) watch_.end(figures.choice);
    return examination_of(figures, of.samples);
  }

  std::vector<std::string> warnings() const override { return watch_.findings(); }
  std::string counts() const override { return watch_.counts(); }
  void restore(const std::string& counts) override { watch_.restore(counts); }

 private:
  struct Predicted {
    Prediction prediction;
    Batch batch;  // with the answer that was written
  };

  // How many values the parameters have whose names are `owned`.
  template <class F>
  std::int64_t values_of(F owned) {
    std::int64_t count = 0;
    for (const NamedParameter& p : network_.parameters()) {
      if (owned(p.name)) count += p.parameter->shape().numel();
    }
    return count;
  }

  Predicted predicted(const OperatorTasks::Sample& sample) {
    const NoGrad no_grad;
    Batch batch = collate_operator_tasks({&sample, 1}, OperatorTasks(data_).length());
    std::int64_t* const places =
        batch.inputs.data<std::int64_t>() + batch.inputs.numel() - OperatorTasks::kWritten;
    const auto logits = [&](std::span<const std::int64_t> written) {
      std::ranges::copy(written, places);
      Pass pass = Pass::unpacked();
      return network_.answer(batch, pass).value();
    };
    const Answer answer = write_number(OperatorTasks::kAnswer, logits);
    return {{.answers = {answer},
             .steps = chosen(batch),
             .steps_are = choice_ == "query" ? "attention chooses" : "the gate chooses"},
            batch};
  }

  // "expert 1"
  std::string chosen(const Batch& batch) {
    if (!network_.chooses()) return "";
    Pass pass = Pass::unpacked();
    const Tensor best = network_.choose(batch, pass).best;
    return fmt::format("expert {}", best.values<std::int64_t>()[0]);
  }

  Examination examination_of(const TaskFigures& figures, std::int64_t count) const {
    Examination examination{.count = count};
    const ChoiceFigures& choice = figures.choice;
    const auto percent = [](double share) { return fmt::format("{:.2f} %", 100 * share); };
    examination.table = {{"choice", "accuracy"}, {choice_, percent(figures.accuracy.mean())}};
    examination.shares = {{"accuracy", figures.accuracy.mean()}};
    if (!network_.chooses()) return examination;
    examination.shares.insert(examination.shares.end(), {{"agreement", choice.agreement},
                                                         {"entropy", choice.entropy},
                                                         {"of_operator", choice.of_operator}});
    examination.table[0].insert(examination.table[0].end(), {"agreement", "entropy", "told of it"});
    examination.table[1].insert(examination.table[1].end(),
                                {percent(choice.agreement), fmt::format("{:.3f}", choice.entropy),
                                 fmt::format("{:.3f} nats", choice.of_operator)});
    examination.choices = choice_table(figures.counts);
    return examination;
  }

  OperatorTaskData data_;
  std::string choice_;
  TaskNetwork network_;
  ChoiceWatch watch_;
};

}  // namespace

OperatorTaskData operator_task_data(const Settings& settings) {
  return {.samples = settings.integer("samples"),
          .most_lead = settings.integer("most_lead"),
          .seed = settings.seed(),
          .from = task_from_string(settings.text("task_from"))};
}

std::unique_ptr<RecipeModel> make_tasks_model(const Settings& settings) {
  return std::make_unique<TasksModel>(settings);
}

}  // namespace maskgrad::apps
