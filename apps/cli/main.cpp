// The maskgrad command line: parses, runs one subcommand, turns errors into one line and a code.
#include <csignal>
#include <exception>
#include <new>
#include <sstream>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include <maskgrad/tensor/cpu/instructions.hpp>
#include <maskgrad/train/run/run_words.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/terminal.hpp"
#include "cli/text.hpp"
#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

constexpr int kHelpColumns = 100;  // where help goes to no terminal

// A standard stream that the caller closed would be the next file opened: results would land in a
// shard. In its place stands one that refuses results, and swallows messages.
void fill_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    const int mode = stream == STDERR_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", mode) < 0) return;
  }
}

int run(int argc, char** argv) {
  CLI::App program{"maskgrad trains transformers whose masks are first-class.", "maskgrad"};
  program.get_formatter()->label("REQUIRED", "(required)");
  program.require_subcommand(1);
  program.set_version_flag(
      "--version",
      fmt::format("maskgrad {}, computes with {}", MASKGRAD_VERSION, instruction_set()),
      "Print the version and exit");
  program.footer(fmt::format("Start with: {} train blog --out runs/first", program_word()));
  for (const auto add : {add_data, add_train, add_eval, add_predict, add_explain, add_generate,
                         add_inspect, add_ops, add_run_op, add_check, add_bench, add_report}) {
    add(program);
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw explain(program, error);
    std::ostringstream text;
    program.exit(error, text, text);  // --help, --version
    const int columns = output_columns();
    write_output(fit_page(text.str(), columns > 0 ? columns : kHelpColumns));
  }
  flush_output();
  return 0;
}

}  // namespace
}  // namespace maskgrad::apps

int main(int argc, char** argv) {
  using namespace maskgrad::apps;
  fill_standard_streams();
  set_program(argc > 0 ? argv[0] : nullptr);
  // A limit on the size of files is an error like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const ExitCode& exit) {
    return exit.code;
  } catch (const maskgrad::UsageError& error) {
    report_failure(error.name(), error.text());
    return 2;
  } catch (const maskgrad::Error& error) {
    report_failure(error.name(), error.text());
  } catch (const std::bad_alloc&) {
    report_failure("memory", maskgrad::kNoMoreMemory);
  } catch (const std::exception& error) {
    report_failure("error", error.what());
  }
  return 1;
}
