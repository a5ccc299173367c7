// Runs the maskgrad program as a user does, in a folder of its own.
#pragma once

#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <maskgrad/train/formats/file.hpp>

#include "support/files.hpp"

namespace maskgrad::test {

/// How the program ended, and what it wrote. `code` is 128 + signal when a signal killed it.
struct CliResult {
  int code;
  std::string out, err;
};

/// False in a container without /dev/pts; tests of what a terminal shows are skipped there.
inline bool has_terminals() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master >= 0) ::close(master);
  return master >= 0;
}

/// Where the program's streams lead; an empty path: to CliResult, or nowhere for the input.
struct CliOptions {
  std::string input = {};      // what standard input holds
  std::string out = {};        // a file instead of a pipe
  std::string folder = {};     // where it runs, below the test's folder
  bool close_out = false;      // standard output is not open at all
  int out_descriptor = -1;     // standard output, if not -1
  std::size_t file_limit = 0;  // bytes that a file may have, as on a disk that is full; 0: no limit
  std::size_t memory_limit = 0;               // bytes of addresses that it may have; 0: no limit
  std::vector<std::string> environment = {};  // further variables, NAME=value
  int terminal_columns = 0;  // run on a terminal of this width: all output is in CliResult::out
};

/// A program that was started and not yet waited for.
class CliProcess {
 public:
  CliProcess(const ScratchFolder& folder, const std::vector<std::string>& args, CliOptions options)
      : folder_(folder), options_(std::move(options)) {
    std::vector<char*> argv = {const_cast<char*>(MASKGRAD_BINARY)};
    for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
    argv.push_back(nullptr);
    write(path("in"), options_.input);
    for (const char* stream : {"out", "err"}) write(path(stream), "");  // it may die at once
    struct winsize size {};
    size.ws_col = static_cast<unsigned short>(options_.terminal_columns);
    const bool on_terminal = options_.terminal_columns > 0;
    pid_ = on_terminal ? ::forkpty(&terminal_, nullptr, nullptr, &size) : ::fork();
    if (pid_ == 0) execute(argv.data(), on_terminal);
  }

  /// Waits until the file is there; false when the program ended first.
  bool reaches(const std::filesystem::path& file) {
    while (!std::filesystem::exists(file)) {
      siginfo_t ended{};
      ::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT);
      if (ended.si_pid != 0) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

  void signal(int number) { ::kill(pid_, number); }

  /// Gives the terminal these keys.
  void type(std::string_view keys) {
    ASSERT_EQ(::write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  CliResult wait() {
    std::string out;
    if (terminal_ >= 0) out = read_terminal();
    int status = 0;
    ::waitpid(pid_, &status, 0);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (terminal_ >= 0) return {code, out, ""};
    const bool captured = options_.out.empty() && !options_.close_out;
    return {code, captured ? read_file(path("out")) : "", read_file(path("err"))};
  }

 private:
  // A stream's file, of this process alone: others may run in the folder at the same time.
  std::string path(const char* stream) const {
    return folder_.path().string() + "/." + stream + std::to_string(number_);
  }
  static int next_number() {
    static int count = 0;
    return ++count;
  }
  static void write(const std::string& file, const std::string& text) {
    OutputFile out(file, OutputFile::Mode::kTruncate);
    out.write(text);
    out.close();
  }
  static void redirect(int stream, const std::string& file, int mode) {
    const int descriptor = ::open(file.c_str(), mode, 0666);
    ::dup2(descriptor, stream);
    ::close(descriptor);
  }

  [[noreturn]] void execute(char** argv, bool on_terminal) const {
    if (!on_terminal) {
      redirect(STDIN_FILENO, path("in"), O_RDONLY);
      redirect(STDOUT_FILENO, options_.out.empty() ? path("out") : options_.out,
               O_WRONLY | O_CREAT | O_TRUNC);
      redirect(STDERR_FILENO, path("err"), O_WRONLY | O_CREAT | O_TRUNC);
    }
    if (options_.close_out) ::close(STDOUT_FILENO);
    if (options_.out_descriptor >= 0) ::dup2(options_.out_descriptor, STDOUT_FILENO);
    if (options_.file_limit > 0) {
      const rlimit limit = {options_.file_limit, options_.file_limit};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (options_.memory_limit > 0) {
      const rlimit limit = {options_.memory_limit, options_.memory_limit};
      ::setrlimit(RLIMIT_AS, &limit);
    }
    for (const std::string& variable : options_.environment) {
      ::putenv(const_cast<char*>(variable.c_str()));
    }
    ::alarm(100);  // a program that hangs ends with code 142
    const std::filesystem::path folder = folder_.path() / options_.folder;
    if (::chdir(folder.c_str()) == 0) ::execv(MASKGRAD_BINARY, argv);
    ::_exit(126);
  }

  // Until the program has closed it, which a terminal reports as an error.
  std::string read_terminal() const {
    std::string text;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(terminal_, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(terminal_);
    return text;
  }

  const ScratchFolder& folder_;
  CliOptions options_;
  int number_ = next_number();
  pid_t pid_ = -1;
  int terminal_ = -1;
};

/// Tests of the program; each has a folder in which it runs, and small data of two shards in `d`.
class CliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run({"data", "arithmetic", "--out", "d", "--shards", "2", "--samples", "40"}).code,
              0);
  }

  CliProcess start(const std::vector<std::string>& args, CliOptions options = {}) {
    return {folder_, args, std::move(options)};
  }
  CliResult run(const std::vector<std::string>& args, CliOptions options = {}) {
    return start(args, std::move(options)).wait();
  }
  /// `maskgrad train blog --data d --progress off` and further arguments.
  CliResult train(const std::vector<std::string>& more, CliOptions options = {}) {
    std::vector<std::string> args = {"train", "blog", "--data", "d", "--progress", "off"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args, std::move(options));
  }

  /// The program ends with `code` and one line on standard error, which holds `text`.
  static void expect_error(const CliResult& result, int code, const std::string& text) {
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
    EXPECT_THAT(result.err, ::testing::StartsWith("maskgrad: "));
    EXPECT_THAT(result.err, ::testing::HasSubstr(text));
    EXPECT_EQ(result.out, "");
  }

  bool exists(const std::string& name) const { return std::filesystem::exists(path(name)); }
  std::string read(const std::string& name) const { return read_file(path(name)); }
  void write(const std::string& name, std::string_view text) const {
    OutputFile file(path(name), OutputFile::Mode::kTruncate);
    file.write(text);
    file.close();
  }
  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }

 private:
  ScratchFolder folder_;
};

}  // namespace maskgrad::test
