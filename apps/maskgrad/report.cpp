// maskgrad report
#include <fmt/core.h>

#include "command.hpp"
#include "run_folder.hpp"

namespace maskgrad::apps {
namespace {

struct Options {
  std::vector<std::string> runs;
  std::string out;
};

void report(const Options& options) {
  std::vector<std::filesystem::path> runs;
  for (const std::string& folder : options.runs) {
    for (auto& run : runs_in(folder)) runs.push_back(std::move(run));
  }
  const std::filesystem::path out =
      options.out.empty() ? std::filesystem::path(options.runs.front()) / "report.html"
                          : std::filesystem::path(options.out);
  write_report(runs, out);
  fmt::print("{}\n", out.string());
}

}  // namespace

void add_report(CLI::App& program) {
  auto* command =
      program.add_subcommand("report", "Draw one or more runs in one self-contained HTML file");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->runs, "Run folders, or a folder that holds some")->required();
  command->add_option("--out", options->out,
                      "File to write; report.html in the first RUN if not given");
  command->footer("Example: maskgrad report runs/first runs/second --out compared.html");
  command->callback([options] { report(*options); });
}

}  // namespace maskgrad::apps
