#include <algorithm>
#include <cmath>
#include <limits>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/best_weights.hpp>
#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/tensor_statistics.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/report/report_run.hpp>
#include <maskgrad/train/run/run_notes.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

ReportParameter describe(const std::string& name, const Tensor& tensor) {
  const TensorStatistics numbers = statistics_of(tensor);
  return {.name = name,
          .shape = tensor.shape(),
          .not_finite = numbers.not_finite,
          .min = numbers.min,
          .mean = numbers.mean,
          .max = numbers.max,
          .std = numbers.std};
}

/// The epoch that ended at each step of the table.
std::map<std::int64_t, std::int64_t> epochs_by_step(const std::vector<EpochRow>& rows,
                                                    const fs::path& path) {
  const auto whole = [&](const EpochRow& row, const char* column) {
    const std::optional<double> value = find_value(row, column);
    check(value.has_value(), "report", "'{}': has no column '{}'", path.string(), column);
    check(*value >= 0 && *value < 9e15 && *value == std::floor(*value), "report",
          "'{}': column '{}' holds {}, which counts nothing", path.string(), column, *value);
    return static_cast<std::int64_t>(*value);
  };
  std::map<std::int64_t, std::int64_t> epochs;
  for (const EpochRow& row : rows) epochs[whole(row, "steps")] = whole(row, "epoch");
  return epochs;
}

/// The same, and the part of an epoch that was done at the last step.
std::map<std::int64_t, double> epochs_done_by_step(const std::vector<EpochRow>& rows) {
  std::map<std::int64_t, double> epochs;
  for (const EpochRow& row : rows) {
    const double steps = find_value(row, "steps").value_or(0);
    if (steps >= 0 && steps < 9e15) {
      epochs[static_cast<std::int64_t>(steps)] = find_value(row, "epoch").value_or(0);
    }
  }
  return epochs;
}

std::vector<ReportHistograms> histograms_of(std::vector<Event> events,
                                            const std::map<std::int64_t, std::int64_t>& epochs) {
  std::vector<ReportHistograms> result;
  std::map<std::string, std::size_t> places;
  for (Event& event : events) {
    const auto epoch = epochs.find(event.step);
    if (epoch == epochs.end()) continue;
    for (SummaryValue& value : event.values) {
      auto* histogram = std::get_if<Histogram>(&value.value);
      if (histogram == nullptr) continue;
      const auto [place, is_new] = places.try_emplace(value.tag, result.size());
      if (is_new) result.push_back({value.tag, {}});
      result[place->second].epochs[epoch->second] = std::move(*histogram);
    }
  }
  return result;
}

// The place of a step between the ends of epochs, or behind the last, in epochs.
double epochs_at(std::int64_t step, const std::map<std::int64_t, double>& epochs) {
  auto next = epochs.lower_bound(step);
  if (next == epochs.end()) --next;
  const auto [last_step, last_epoch] =
      next == epochs.begin() ? std::pair<const std::int64_t, double>(0, 0) : *std::prev(next);
  const auto steps = static_cast<double>(std::max<std::int64_t>(next->first - last_step, 1));
  return last_epoch + static_cast<double>(step - last_step) / steps * (next->second - last_epoch);
}

// The values of each metric by step, the metrics in order of first appearance.
class ValidationPoints {
 public:
  void add(const std::string& metric, std::int64_t step, double value) {
    auto place = std::ranges::find(all_, metric, &ByStep::first);
    if (place == all_.end()) place = all_.insert(place, {metric, {}});
    place->second[step] = value;
  }

  std::vector<ReportValidation> by_epoch(const std::map<std::int64_t, double>& epochs) const {
    std::vector<ReportValidation> result;
    if (epochs.empty()) return result;
    for (const auto& [metric, values] : all_) {
      result.push_back({metric, {}});
      for (const auto& [step, value] : values)
        result.back().values[epochs_at(step, epochs)] = value;
    }
    return result;
  }

 private:
  using ByStep = std::pair<std::string, std::map<std::int64_t, double>>;
  std::vector<ByStep> all_;
};

// Event files hold float32, and there may be none: what the table holds counts more.
ValidationPoints validation_points(const std::vector<Event>& events,
                                   const std::vector<EpochRow>& table) {
  constexpr std::string_view kPrefix = "validation/";
  ValidationPoints points;
  for (const Event& event : events) {
    for (const SummaryValue& value : event.values) {
      const auto* scalar = std::get_if<float>(&value.value);
      if (scalar == nullptr || !value.tag.starts_with(kPrefix)) continue;
      points.add(value.tag.substr(kPrefix.size()), event.step, *scalar);
    }
  }
  for (const EpochRow& row : table) {
    const double steps = find_value(row, "steps").value_or(-1);
    if (!(steps >= 0 && steps < 9e15)) continue;
    for (const auto& [name, value] : row) {
      if (name == "epoch" || name == "steps") continue;
      points.add(name, static_cast<std::int64_t>(steps), value);
    }
  }
  return points;
}

/// The last one, as TensorBoard shows it.
ModelGraph graph_in(const std::vector<Event>& events, std::vector<std::string>& warnings) {
  const auto last = std::find_if(events.rbegin(), events.rend(),
                                 [](const Event& event) { return !event.graph_def.empty(); });
  try {
    if (last != events.rend()) return decode_graph(last->graph_def);
  } catch (const Error& error) {
    warnings.push_back(fmt::format("the model's graph is left out: {}", error.text()));
  }
  return {};
}

/// What event files lack, from the first epoch on of which they hold a histogram, or of all epochs
/// without one; empty where that is nothing. A file that was cut between events is sound in itself.
std::string missing_histograms(const std::vector<ReportHistograms>& histograms,
                               const std::vector<ReportParameter>& parameters,
                               const std::map<std::int64_t, std::int64_t>& epochs) {
  std::map<std::string, const std::map<std::int64_t, Histogram>*> by_tag;
  const std::map<std::int64_t, Histogram> none;
  for (const ReportParameter& one : parameters) {
    by_tag["gradients/" + one.name] = by_tag["weights/" + one.name] = &none;
  }
  const auto first_epoch = [](const ReportHistograms& one) { return one.epochs.begin()->first; };
  for (const ReportHistograms& one : histograms) by_tag[one.tag] = &one.epochs;
  const auto earliest = std::ranges::min_element(histograms, {}, first_epoch);
  const std::int64_t first = earliest == histograms.end() ? 0 : first_epoch(*earliest);
  std::int64_t missing = 0;
  std::string example;
  for (const auto& [step, epoch] : epochs) {
    for (const auto& [tag, found] : by_tag) {
      if (epoch < first || found->contains(epoch)) continue;
      if (missing++ == 0) example = fmt::format("'{}' of epoch {}", tag, epoch);
    }
  }
  if (missing == 0) return "";
  return fmt::format("its event files lack {}, the first is {}: they were cut, or not written then",
                     count_of(missing, "histogram"), example);
}

/// Into the order in which the model named them when it wrote their histograms.
void sort_by_histograms(std::vector<ReportParameter>& parameters,
                        const std::vector<ReportHistograms>& histograms) {
  const auto place = [&](const ReportParameter& parameter) {
    return std::find_if(histograms.begin(), histograms.end(), [&](const ReportHistograms& one) {
      return one.tag == "weights/" + parameter.name;
    });
  };
  std::stable_sort(parameters.begin(), parameters.end(),
                   [&](const auto& a, const auto& b) { return place(a) < place(b); });
}

}  // namespace

std::vector<Event> read_event_folder(const fs::path& folder, std::vector<std::string>& warnings) {
  std::vector<Event> events;
  for (const fs::path& path : list_folder(folder)) {
    if (path.filename().string().find("tfevents") == std::string::npos) continue;
    EventFile file = read_events(path);
    if (!file.damage.empty()) {
      warnings.push_back(fmt::format("{}: the events from there on are left out", file.damage));
    }
    for (Event& event : file.events) {
      if (event.is_restart) {
        std::erase_if(events, [&](const Event& old) { return old.step >= event.step; });
      }
      events.push_back(std::move(event));
    }
  }
  return events;
}

FileNotes newest_notes(const fs::path& folder, std::vector<std::string>& warnings) {
  try {
    const auto checkpoint = latest_checkpoint(folder / "checkpoints");
    if (checkpoint) return {*checkpoint, read_notes(*checkpoint)};
  } catch (const Error& error) {
    warnings.emplace_back(error.text());
  }
  return {};
}

std::optional<BestValidation> best_validation(const Notes& notes, const fs::path& file) {
  const auto note = notes.find(kValidationNote);
  // Checkpoints that knew no best weights have three numbers there, and no data.
  if (note == notes.end() || std::ranges::count(note->second, ' ') == 2) return std::nullopt;
  constexpr std::int64_t kAnyStep = std::numeric_limits<std::int64_t>::max();
  const BestWeights best = BestWeights::from_note(note->second, kAnyStep, file.string());
  return BestValidation{best.loss, best.step, best.data};
}

bool has_older_results(const ReportRun& run) {
  if (!run.results_step || run.epochs.empty()) return false;
  const double steps = find_value(run.epochs.back(), "steps").value_or(0);
  return steps > static_cast<double>(*run.results_step);
}

std::int64_t steps_in_part(const std::vector<EpochRow>& epochs) {
  if (epochs.empty()) return 0;
  const auto value = [](const EpochRow& row, const char* column) {
    return find_value(row, column).value_or(0);
  };
  const double epoch = value(epochs.back(), "epoch"), whole = std::floor(epoch),
               all = value(epochs.back(), "steps");
  if (epoch == whole || !(all >= 1 && all < 9e15)) return 0;
  double before = all * whole / epoch;  // where the table does not tell
  for (const EpochRow& row : epochs) {
    if (value(row, "epoch") == whole) before = value(row, "steps");
  }
  return std::max<std::int64_t>(1, std::llround(all - before));
}

std::string mean_of_steps(std::int64_t steps) {
  return steps == 0 ? "" : fmt::format(" (mean of {})", count_of(steps, "step"));
}

ReportRun load_report_run(const fs::path& folder, std::string name) {
  ReportRun run;
  run.name = std::move(name);
  const ModelFile model = load_model(folder / "model.safetensors");
  Notes notes = model.notes;
  const FileNotes checkpoint = newest_notes(folder, run.warnings);
  notes.insert(checkpoint.notes.begin(), checkpoint.notes.end());
  run.best = best_validation(checkpoint.notes, checkpoint.file);
  if (run.best) run.validation_data = run.best->data;
  if (const auto data = notes.find(kDataNote); data != notes.end()) {
    run.training_data = data->second;
  }
  const fs::path table = folder / "epochs.csv";
  run.epochs = read_epochs(table, notes);
  const auto epochs = epochs_by_step(run.epochs, table);
  add_epoch_part(run.epochs, checkpoint.notes, checkpoint.file);
  add_epoch_part(run.epochs, model.notes, folder / "model.safetensors");
  const std::size_t warnings = run.warnings.size();
  std::vector<Event> events = read_event_folder(folder / "logs", run.warnings);
  const bool looks_whole = !events.empty() && run.warnings.size() == warnings;
  run.validation =
      validation_points(events, read_validations(folder / "validation.csv", checkpoint.notes))
          .by_epoch(epochs_done_by_step(run.epochs));
  run.graph = graph_in(events, run.warnings);
  run.histograms = histograms_of(std::move(events), epochs);
  for (const auto& [parameter, tensor] : model.tensors) {
    run.parameters.push_back(describe(parameter, tensor));
  }
  const std::string missing = missing_histograms(run.histograms, run.parameters, epochs);
  if (looks_whole && !missing.empty()) run.warnings.push_back(missing);
  sort_by_histograms(run.parameters, run.histograms);
  return run;
}

}  // namespace maskgrad
