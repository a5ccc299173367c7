// maskgrad report
#include <maskgrad/train/run/run_files.hpp>
#include <maskgrad/train/run/run_settings.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
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

// A run that has not ended has nothing to draw: an error by itself, left out among others.
std::vector<fs::path> ended_runs(const std::string& folder) {
  std::vector<fs::path> ended;
  const std::vector<fs::path> runs = runs_in(folder);
  for (const fs::path& run : runs) {
    if (RunPaths(run).has_ended())
      ended.push_back(run);
    else if (runs.size() > 1)
      warn(fmt::format("report: '{}' is left out: its training has not ended yet", run.string()));
  }
  check(!ended.empty(), "run", "'{}' has no model.safetensors: its training has not ended yet",
        runs.front().string());
  return ended;
}

void report(const Options& options) {
  std::vector<fs::path> runs;
  for (const std::string& folder : options.runs) {
    for (auto& run : ended_runs(folder)) runs.push_back(std::move(run));
  }
  fs::path out = options.out;
  // The report of several runs belongs to none of them.
  if (out.empty()) {
    out = options.runs.size() == 1 ? fs::path(options.runs.front()) / "report.html"
                                   : fs::path("report.html");
  }
  for (const fs::path& run : runs) {
    const RunPaths paths(run);
    if (path_within(out, run) != paths.report.filename()) check_is_no_file_of(paths, out, "report");
  }
  check_may_replace(out, kReportStart, "report", "report");
  write_report(runs, out);
  print("{}\n", one_line(out.string()));
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
  command->footer("Example: maskgrad report runs --out compared.html");
  command->callback([options] { report(*options); });
}

}  // namespace maskgrad::apps
