// What the subcommands share. Each lives in a file of its own and adds itself to the program.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad::apps {

/// Wrong usage or configuration: exit code 2, where other errors give 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Runs `f`; an Error it throws becomes a UsageError.
template <class F>
decltype(auto) as_usage(F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    throw UsageError(error.name(), error.text());
  }
}

/// What the program says for std::bad_alloc.
inline constexpr const char* kNoMoreMemory = "the system has no more";

/// How the program ended where that is not an error.
struct ExitCode {
  int code;
};

// Each adds one subcommand, whose callback does the work and throws Error when it fails.
void add_data(CLI::App& program);
void add_train(CLI::App& program);
void add_eval(CLI::App& program);
void add_predict(CLI::App& program);
void add_inspect(CLI::App& program);
void add_ops(CLI::App& program);
void add_run_op(CLI::App& program);
void add_check(CLI::App& program);
void add_bench(CLI::App& program);
void add_report(CLI::App& program);

}  // namespace maskgrad::apps
