// The maskgrad command line: parses, runs one subcommand, turns errors into one line and a code.
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>

#include "command.hpp"

namespace maskgrad::apps {
namespace {

// "[what] why" -> "maskgrad: what: why", on one line whatever names it quotes.
int report_error(std::string text, int code) {
  if (const auto close = text.find("] "); text.starts_with("[") && close != std::string::npos) {
    text = text.substr(1, close - 1) + ": " + text.substr(close + 2);
  }
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  std::cout.flush();
  std::cerr << "maskgrad: " << text << '\n';
  return code;
}

void flush_results() {
  std::cout.flush();
  check(static_cast<bool>(std::cout), "stdout", "cannot write the results: the disk may be full");
}

int run(int argc, char** argv) {
  CLI::App program{"maskgrad trains transformers whose masks are first-class.", "maskgrad"};
  program.require_subcommand(1);
  program.set_version_flag("--version", MASKGRAD_VERSION);
  program.footer("Start with: maskgrad train blog --out runs/first");
  for (const auto add : {add_data, add_train, add_eval, add_predict, add_inspect, add_ops,
                         add_run_op, add_bench, add_report}) {
    add(program);
  }
  try {
    program.parse(argc, argv);
    flush_results();
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
    return report_error(std::string("usage: ") + error.what() + "; see maskgrad --help", 2);
  }
}

}  // namespace
}  // namespace maskgrad::apps

int main(int argc, char** argv) {
  using namespace maskgrad::apps;
  try {
    return run(argc, argv);
  } catch (const ExitCode& exit) {
    return exit.code;
  } catch (const UsageError& error) {
    return report_error(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return report_error("memory: the system has no more", 1);
  } catch (const std::exception& error) {
    return report_error(error.what(), 1);
  }
}
