// What the subcommands share. Each lives in a file of its own and adds itself to the program.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include <maskgrad/train/run/as_usage.hpp>

namespace maskgrad::apps {

/// How the program ended where that is not an error.
struct ExitCode {
  int code;
};

// Each adds one subcommand, whose callback does the work and throws Error when it fails.
void add_data(CLI::App& program);
void add_train(CLI::App& program);
void add_eval(CLI::App& program);
void add_predict(CLI::App& program);
void add_explain(CLI::App& program);
void add_generate(CLI::App& program);
void add_inspect(CLI::App& program);
void add_ops(CLI::App& program);
void add_run_op(CLI::App& program);
void add_check(CLI::App& program);
void add_bench(CLI::App& program);
void add_report(CLI::App& program);

}  // namespace maskgrad::apps
