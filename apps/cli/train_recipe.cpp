#include "cli/train_recipe.hpp"

#include <algorithm>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/callbacks/progress.hpp>
#include <maskgrad/train/number_text.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/training_run.hpp>

#include "cli/examination.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/recipe_data.hpp"
#include "cli/report_runs.hpp"
#include "cli/run_folder.hpp"
#include "cli/table.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

// "(B, 20, 15)": the first dimension is the batch, whatever its size.
std::string shape_text(const Shape& shape) {
  std::string text = "(B";
  for (int axis = 1; axis < shape.rank(); ++axis) text += fmt::format(", {}", shape[axis]);
  return text + ")";
}

// Lines that say what becomes of padding and why; empty when nothing is to be packed.
std::string packing_of(RecipeModel& model, const Batch& batch) {
  std::string lines;
  for (const std::string& line : model.explain_packing(batch)) {
    lines += fmt::format("first batch: {}\n", line);
  }
  return lines;
}

// What ends a run that has no steps left, and what asks for more.
std::string way_to_more_steps(TrainingRun& run) {
  const std::int64_t steps = run.settings().integer("steps");
  if (const std::string& reason = run.settings().setting("steps").why_fixed; !reason.empty()) {
    return fmt::format(
        "The run has all its steps already: it ends at steps = {}, for {}. A new run may have "
        "more.\n",
        steps, reason);
  }
  if (steps == 0 || run.trainer().total_steps() < steps) {
    return "The run has all its steps already; --epochs asks for more.\n";
  }
  return fmt::format(
      "The run has all its steps already: it ends at steps = {}. --steps asks for more, and "
      "--steps "
      "0 for all of its epochs.\n",
      steps);
}

// "6,000 steps", or "5 minutes of steps" where time alone ends the run.
std::string length_of(const Trainer& trainer) {
  if (trainer.total_steps() != Trainer::kUnknown) return count_of(trainer.total_steps(), "step");
  const double minutes = trainer.options().max_minutes;
  return fmt::format("{} minute{} of steps", minutes, minutes == 1 ? "" : "s");
}

std::string data_of(const Recipe& recipe, const Settings& settings, const RunPaths& paths) {
  if (recipe.data_source() == DataSource::kDrawn) return "";
  const std::string& given = settings.text("data");
  std::string lines;
  for (const std::string& line : recipe.explain_data(
           settings, given.empty() ? paths.own_data : std::filesystem::path(given))) {
    lines += fmt::format("data: {}\n", one_line(line));
  }
  return lines;
}

// Whether config.toml names a GPU, and there is none here.
bool names_missing_device(const RunPaths& paths) {
  try {
    const bool is_there = paths.is_run();
    return is_there && toml_text(paths.config, "device") == "cuda" && !why_no_cuda().empty();
  } catch (const Error&) {  // resuming would say what is damaged
    return false;
  }
}

// A line that says where the run computes, where that needs saying: on a GPU, or on the CPU though
// a GPU was asked for or might be used.
std::string device_of(const TrainingRun& run) {
  const bool may_have_gpu = cuda_memory != nullptr;
  const std::string& asked = run.settings().text("device");
  if (asked == "cpu" && !may_have_gpu) return "";
  const Device device = choose_device(asked);
  const bool is_cpu = device == Device{};
  const std::string why = !is_cpu          ? ""
                          : asked == "cpu" ? " (--device auto takes a GPU where one works)"
                                           : fmt::format(" ({})", why_no_cuda());
  return fmt::format("device: {}{}\n", describe(device), why);
}

void print_summary(RecipeModel& model, TrainingRun& run, const std::string& about_data) {
  std::vector<std::vector<std::string>> rows = {{"layer", "kind", "output", "parameters", "mask"}};
  const std::int64_t first = 0;
  for (const LayerSummary& layer : model.summarize(run.data().collate({&first, 1}))) {
    rows.push_back({layer.name, layer.kind, shape_text(layer.output), with_commas(layer.parameters),
                    std::string(to_string(layer.mask_rule))});
  }
  const Trainer& trainer = run.trainer();
  const std::string text = fmt::format(
      "{}{}, {}, {} of {}\n{}{}{}\n", format_table(rows, message_columns()),
      count_of(trainer.parameters().count(), "parameter"), count_of(run.data().size(), "sample"),
      length_of(trainer), run.settings().integer("batch_size"), device_of(run), about_data,
      packing_of(model, run.loader().peek()));
  write_message(fit_page(text, message_columns()));
  if (trainer.state().step == trainer.total_steps()) {
    write_message(way_to_more_steps(run));
  }
}

void add_progress(Trainer& trainer, std::string style) {
  if (style == "off") return;
  if (style == "auto") style = has_terminal() ? "bar" : "lines";
  using Style = Progress::Style;
  const Style bar = draws_unicode() ? Style::kBar : Style::kAsciiBar;
  trainer.add(std::make_unique<Progress>(style == "bar" ? bar : Style::kLines, wants_color(),
                                         write_message, terminal_columns));
}

// "784.5 us", "78.4 ms".
std::string time_text(double seconds) {
  return seconds < 1e-3 ? fmt::format("{:.1f} us", 1e6 * seconds)
                        : fmt::format("{:.1f} ms", 1e3 * seconds);
}

using Values = std::vector<std::pair<std::string, std::string>>;

// The means of the last epoch, or of what was done of it.
void add_means(Values& values, const RunEnd& end) {
  const std::string remark =
      end.batches > 0 ? fmt::format("  mean of the last {}", count_of(end.batches, "step")) : "";
  for (const Metric& metric : end.totals) {
    values.emplace_back(metric.name, mean_text(metric.mean()) + remark);
  }
}

// What it comes to on other data than it learns from, or how to see that.
void add_validation(Values& values, const Recipe& recipe, const Settings& settings,
                    const RunEnd& end) {
  if (!end.validation.empty()) {
    std::string text;
    for (const Metric& metric : end.validation) {
      text +=
          fmt::format("{}{} {}", text.empty() ? "" : ", ", metric.name, mean_text(metric.mean()));
    }
    values.emplace_back("validation", text);
  } else if (!validates(recipe, settings)) {
    const char* const share = settings.has("val_share") ? " or --val-share 0.1" : "";
    values.emplace_back("validation",
                        fmt::format("none: --val FOLDER{} tests on data it has not seen", share));
  }
}

// What ended the run before its last step.
void add_early_end(Values& values, TrainingRun& run, const RunEnd& end) {
  if (end.out_of_patience) {
    values.emplace_back("ended", fmt::format("by patience: {} in a row had no smaller loss",
                                             count_of(end.best.of_regular().since, "validation")));
  }
  const Trainer& trainer = run.trainer();
  const std::int64_t all = trainer.total_steps();
  const bool is_timed = run.settings().real("minutes") > 0;
  const bool is_short = all != Trainer::kUnknown && trainer.state().step < all;
  if (is_timed && is_short && !end.out_of_patience) {
    values.emplace_back("minutes",
                        fmt::format("over before the last of {}", count_of(all, "step")));
  }
}

// How many steps a device replayed: the others took the host longer.
std::string about_graphs() {
  const DeviceCounts counts = device_counts();
  return counts.steps() > 0 ? fmt::format("; {} replayed as graphs", counts.replayed) : "";
}

// How many, and how long they took. Between the steps of an epoch there may be other things.
std::string about_steps(const Settings& settings, const RunEnd& end) {
  const bool validates_between = !end.validation.empty() && settings.integer("val_every") > 0;
  const bool is_more = validates_between || settings.integer("checkpoint_every") > 0;
  return fmt::format("{} in {:.1f} s, validation and files included; {} each in training{}{}",
                     end.steps, end.seconds,
                     time_text(end.seconds_in_epochs / static_cast<double>(end.steps)),
                     is_more ? ", what is done between them included" : "", about_graphs());
}

// Written to the run's folder, where there is anything to write, or something older to replace.
Results results_of(RecipeModel& model, std::int64_t step, const RunPaths& paths) {
  Results results;
  if (model.abilities().is_examined_at_end) results.examination = model.examine({});
  results.warnings = model.warnings();
  std::error_code ignored;
  if (!results.empty() || std::filesystem::exists(paths.results, ignored)) {
    write_results(results, step, paths.results);
  }
  return results;
}

void print_end(const Recipe& recipe, const RunPaths& paths, TrainingRun& run, const RunEnd& end) {
  {
    const ops::WithProductMath exact(ops::ProductMath::kFloat32);  // on the CPU
    write_report(std::span(&paths.folder, 1), paths.report);
  }
  Values values;
  add_means(values, end);
  add_validation(values, recipe, run.settings(), end);
  if (end.steps > 0) values.emplace_back("steps", about_steps(run.settings(), end));
  if (end.best.defined()) {
    // The last weights are in model.safetensors, which is used without --best.
    const bool is_last = end.best.step == run.trainer().state().step;
    values.emplace_back(
        "best", fmt::format("validation loss {} after step {}{}", mean_text(end.best.loss),
                            end.best.step, is_last ? ", the last" : ": use it with --best"));
  }
  add_early_end(values, run, end);
  values.emplace_back("run", one_line(paths.folder.string()));
  values.emplace_back("report", one_line(paths.report.string()));
  if (!lost_messages().empty()) {
    values.emplace_back("progress", fmt::format("not shown to its end: {}", lost_messages()));
  }
  write_output(format_values(values));
}

}  // namespace

std::string flag_name(const std::string& key) {
  std::string name = "--" + key;
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string command_to_go_on(const Recipe& recipe, const RunPaths& paths) {
  std::string elsewhere;
  if (names_missing_device(paths)) {
    const auto math = toml_text(paths.config, "math");
    elsewhere = math && *math != "float32" ? " --device cpu --math float32" : " --device cpu";
  }
  return fmt::format("{} train {} --out {} --resume{}", program_word(), recipe.name(),
                     shell_word(paths.folder.string()), elsewhere);
}

Trainer::Outcome train_recipe(const Recipe& recipe, const Settings& settings, FolderClaim& claim,
                              const std::atomic<bool>& stop) {
  const RunPaths paths(run_folder(recipe.name(), settings));
  const std::unique_ptr<RecipeModel> model = recipe.make_model(settings);
  TrainingRun run(
      {.name = recipe.name(),
       .defaults = Settings(recipe.settings()),
       .module = model->module(),
       .model = [&](const Batch& batch, Pass& pass) { return model->evaluate(batch, pass); },
       .data = recipe_data(recipe, settings, paths),
       .groups = model->parameter_groups(),
       .best_from = model->best_from(),
       .counts = [&] { return model->counts(); },
       .restore = [&](const std::string& counts) { model->restore(counts); },
       .words = {flag_name, command_to_go_on(recipe, paths)},
       .warn = warn},
      settings, claim);
  const std::string& progress = settings.text("progress");
  add_progress(run.trainer(), progress);
  const auto begin = [&] {
    if (progress != "off") print_summary(*model, run, data_of(recipe, settings, paths));
  };
  const auto end = [&](const RunEnd& ended) {
    const Results results = results_of(*model, run.trainer().state().step, paths);
    print_end(recipe, paths, run, ended);  // with the report, which shows these results
    print_results(results, recipe.name());
  };
  return run.run(stop, begin, end).outcome;
}

}  // namespace maskgrad::apps
