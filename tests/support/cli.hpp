// Runs the maskgrad program as a user does, in a folder of its own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <sys/types.h>

#include "support/files.hpp"

namespace maskgrad::test {

/// How the program ended, and what it wrote. `code` is 128 + signal when a signal killed it.
struct CliResult {
  int code;
  std::string out, err;
};

/// Where the program stands that is tested.
const char* program_path();

/// False in a container without /dev/pts; tests of what a terminal shows are skipped there.
bool has_terminals();

/// Where the program's streams lead; an empty path: to CliResult, or nowhere for the input.
struct CliOptions {
  std::string input = {};           // what standard input holds
  std::string out = {};             // a file instead of a pipe
  std::string folder = {};          // where it runs, below the test's folder
  std::string called = "maskgrad";  // argv[0], as a shell gives it to a program that is in PATH
  bool close_out = false;           // standard output is not open at all
  int out_descriptor = -1;          // standard output, if not -1
  std::size_t file_limit = 0;  // bytes that a file may have, as on a disk that is full; 0: no limit
  std::size_t memory_limit = 0;               // bytes of addresses that it may have; 0: no limit
  std::vector<std::string> environment = {};  // further variables, NAME=value
  int terminal_columns = 0;  // run on a terminal of this width: all output is in CliResult::out
};

/// A program that was started and not yet waited for.
class CliProcess {
 public:
  CliProcess(const ScratchFolder& folder, const std::vector<std::string>& args, CliOptions options);

  /// Waits until the file is there; false when the program ended first.
  bool reaches(const std::filesystem::path& file);

  void signal(int number);

  /// Waits until the terminal shows this text, behind what was waited for before; false when the
  /// program ended first.
  bool shows(std::string_view text);

  /// Waits until the program takes single keys from the terminal, which one that edits lines does
  /// only after it shows its prompt; false when it does not.
  bool takes_keys() const;

  /// Gives the terminal these keys.
  void type(std::string_view keys);

  CliResult wait();

 private:
  // A stream's file, of this process alone: others may run in the folder at the same time.
  std::string path(const char* stream) const;
  [[noreturn]] void execute(char** argv, bool on_terminal) const;
  // Appends to shown_. False once the program has closed the terminal, which reads as an error.
  bool read_terminal();

  const ScratchFolder& folder_;
  CliOptions options_;
  int number_;
  pid_t pid_ = -1;
  int terminal_ = -1;
  std::string shown_;     // by the terminal so far
  std::size_t seen_ = 0;  // of it, by shows()
};

/// Tests of the program; each has a folder in which it runs, and small data of two shards in `d`.
class CliTest : public ::testing::Test {
 protected:
  void SetUp() override;

  CliProcess start(const std::vector<std::string>& args, CliOptions options = {});
  CliResult run(const std::vector<std::string>& args, CliOptions options = {});
  /// `maskgrad train blog --data d --progress off` and further arguments.
  CliResult train(const std::vector<std::string>& more, CliOptions options = {});

  /// The program ends with `code` and one line on standard error, which holds `text`.
  static void expect_error(const CliResult& result, int code, const std::string& text);

  bool exists(const std::string& name) const;
  std::string read(const std::string& name) const;
  void write(const std::string& name, std::string_view text) const;
  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }

 private:
  ScratchFolder folder_;
};

}  // namespace maskgrad::test
