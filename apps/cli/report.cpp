// maskgrad report
#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/run/run_files.hpp>
#include <maskgrad/train/run/run_settings.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/report_runs.hpp"
#include "cli/run_folder.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> runs;
  std::string out;
};

// A run that has not ended has nothing to draw: an error by itself, left out among others, with a
// line to `notes`.
std::vector<fs::path> ended_runs(const std::vector<std::string>& folders,
                                 std::vector<std::string>& notes) {
  std::vector<fs::path> runs;
  for (const std::string& folder : folders) {
    for (auto& run : runs_in(folder)) runs.push_back(std::move(run));
  }
  std::vector<fs::path> ended;
  std::ranges::copy_if(runs, std::back_inserter(ended),
                       [](const fs::path& run) { return RunPaths(run).has_ended(); });
  check(!ended.empty(), "run", "'{}' has no model.safetensors: {}", runs.front().string(),
        about_unended(RunPaths(runs.front())));
  for (const fs::path& run : runs) {
    const RunPaths paths(run);
    if (paths.has_ended()) continue;
    notes.push_back(fmt::format("'{}' is left out: {}", run.string(), about_unended(paths)));
    warn("report: " + notes.back());
  }
  return ended;
}

void report(const Options& options) {
  std::vector<std::string> notes;
  const std::vector<fs::path> runs = ended_runs(options.runs, notes);
  fs::path out = options.out;
  // The report of several runs belongs to none of them.
  if (out.empty()) {
    out = options.runs.size() == 1 ? fs::path(options.runs.front()) / "report.html"
                                   : fs::path("report.html");
  }
  const bool is_own = std::ranges::any_of(runs, [&](const fs::path& run) {
    return path_within(out, run) == RunPaths(run).report.filename();
  });
  if (!is_own) {
    for (const fs::path& run : runs) check_is_no_file_of(RunPaths(run), out, "report");
    check_is_of_no_run(out, "report");
  }
  check_may_replace(out, kReportStart, "report", "report");
  const std::vector<std::string> damaged = write_report(runs, out, std::move(notes));
  print("{}\n", one_line(out.string()));
  check(damaged.empty(), "report", "{} of {}: {}", damaged.size(),
        count_of(std::ssize(runs), "run"), fmt::join(damaged, "; "));
}

}  // namespace

void add_report(CLI::App& program) {
  auto* command =
      program.add_subcommand("report", "Show one or more runs in one self-contained HTML file");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->runs, "Run folders, or a folder that holds run folders")
      ->type_name("")
      ->required();
  command
      ->add_option("--out", options->out,
                   "File to write; by default report.html, in RUN or here for several")
      ->type_name("FILE");
  command->footer(examples({"report runs --out compared.html"}));
  command->callback([options] { report(*options); });
}

}  // namespace maskgrad::apps
