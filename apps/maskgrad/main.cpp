// The maskgrad command line: parses, runs one subcommand, turns errors into one line and a code.
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "command.hpp"
#include "output.hpp"
#include "text.hpp"
#include "usage.hpp"

namespace maskgrad::apps {
namespace {

int report_error(const std::string& text, int code) {
  std::fflush(stdout);
  write_message(fmt::format("maskgrad: {}\n", one_line(text)));
  return code;
}

int report_error(const Error& error, int code) {
  return report_error(fmt::format("{}: {}", error.name(), error.text()), code);
}

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
  program.set_version_flag("--version", "maskgrad " MASKGRAD_VERSION, "Print the version and exit");
  program.footer("Start with: maskgrad train blog --out runs/first");
  for (const auto add : {add_data, add_train, add_eval, add_predict, add_inspect, add_ops,
                         add_run_op, add_check, add_bench, add_report}) {
    add(program);
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw explain(program, error);
    program.exit(error);  // --help, --version
  }
  flush_output();
  return 0;
}

}  // namespace
}  // namespace maskgrad::apps

int main(int argc, char** argv) {
  using namespace maskgrad::apps;
  fill_standard_streams();
  try {
    return run(argc, argv);
  } catch (const ExitCode& exit) {
    return exit.code;
  } catch (const UsageError& error) {
    return report_error(error, 2);
  } catch (const maskgrad::Error& error) {
    return report_error(error, 1);
  } catch (const std::bad_alloc&) {
    return report_error("memory: the system has no more", 1);
  } catch (const std::exception& error) {
    return report_error(error.what(), 1);
  }
}
