// maskgrad data arithmetic
#include <filesystem>
#include <memory>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/run/run_files.hpp>
#include <maskgrad/train/run/run_paths.hpp>

#include "cli/command.hpp"
#include "cli/count_progress.hpp"
#include "cli/interrupt.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"
#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string out;
  ArithmeticData data;
  bool force = false;
};

// Other shards would be read together with these. Those of an older set are replaced.
void check_no_other_data(const fs::path& folder, bool force) {
  std::error_code ignored;  // no folder yet, or none that can be one
  if (!fs::is_directory(folder, ignored)) return;
  bool holds_data = false;
  for (const fs::path& path : list_folder(folder)) {
    const std::string name = path.filename().string();
    if (path.extension() != ".tfrecords") continue;
    holds_data = true;
    check(is_arithmetic_shard_name(name) && fs::is_regular_file(path, ignored), "data",
          "'{}' holds another data set's '{}' already: choose another folder", folder.string(),
          name);
  }
  check(!holds_data || force, "data", "'{}' holds data already: --force replaces them",
        folder.string());
}

// A run's own data are in a folder below it.
void check_is_no_run(const fs::path& folder) {
  check(!RunPaths(folder).is_run(), "data", "'{}' holds a run: choose another folder",
        folder.string());
  check_is_of_no_run(folder, "data");
}

// What makes the same data, for a shell.
std::string command_of(const Options& options) {
  const ArithmeticData& data = options.data;
  const ArithmeticData defaults;
  std::string text =
      fmt::format("{} data arithmetic --out {}", program_word(), shell_word(options.out));
  const auto add = [&](const char* flag, auto value, auto fallback) {
    if (value != fallback) text += fmt::format(" {} {}", flag, value);
  };
  add("--shards", data.shards, defaults.shards);
  add("--samples", data.samples, defaults.samples);
  add("--max-val", data.max_val, defaults.max_val);
  add("--seed", data.seed, defaults.seed);
  return text + (options.force ? " --force" : "");
}

void write_data(const Options& options) {
  const ArithmeticData& d = options.data;
  as_usage([&] {
    check_arithmetic_data(d);
    check_is_no_run(options.out);
    check_no_other_data(options.out, options.force);
  });
  const InterruptRequest interrupt;
  CountProgress progress("sample");
  const bool is_whole = write_arithmetic_shards(
      options.out, d, &interrupt.requested(),
      [&](std::int64_t done) { progress.show(done, d.shards * d.samples); });
  progress.clear();
  if (!is_whole) {
    warn(fmt::format("interrupted; nothing was written to '{}'; begin again with: {}", options.out,
                     command_of(options)));
    throw ExitCode{interrupt.exit_code()};
  }
  print("{} in {} in {}\n", count_of(d.shards * d.samples, "sample"), count_of(d.shards, "shard"),
        one_line(options.out));
}

}  // namespace

void add_data(CLI::App& program) {
  auto* data = program.add_subcommand("data", "Make training data");
  data->require_subcommand(1);
  data->footer(examples({"data arithmetic --out heldout --shards 1 --seed 7"}));
  auto* arithmetic =
      data->add_subcommand("arithmetic", "Samples like x=-12,y=24:y-x:36, as shard_NNNN.tfrecords");
  auto options = std::make_shared<Options>();
  arithmetic->add_option("--out", options->out, "Folder for the shards")
      ->type_name("FOLDER")
      ->required();
  add_integer(*arithmetic, "--shards", options->data.shards, "Number of files");
  add_integer(*arithmetic, "--samples", options->data.samples, "Samples in each file");
  add_integer(*arithmetic, "--max-val", options->data.max_val,
              "Numbers are smaller than this in absolute value");
  add_integer(*arithmetic, "--seed", options->data.seed,
              "Seed; the same seed gives the same bytes on every machine");
  arithmetic->add_flag("--force", options->force, "Replace the data that FOLDER holds");
  arithmetic->footer(examples({"data arithmetic --out heldout --shards 1 --seed 7"}));
  arithmetic->callback([options] { write_data(*options); });
}

}  // namespace maskgrad::apps
