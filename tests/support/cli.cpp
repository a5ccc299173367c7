#include "support/cli.hpp"

#include <chrono>
#include <csignal>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <maskgrad/train/formats/file.hpp>

namespace maskgrad::test {
namespace {

// A sanitized program is many times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kMostSeconds = 280;
#else
constexpr unsigned kMostSeconds = 100;
#endif

int next_number() {
  static int count = 0;
  return ++count;
}

void write_text(const std::string& file, std::string_view text) {
  OutputFile out(file, OutputFile::Mode::kTruncate);
  out.write(text);
  out.close();
}

void redirect(int stream, const std::string& file, int mode) {
  const int descriptor = ::open(file.c_str(), mode, 0666);
  ::dup2(descriptor, stream);
  ::close(descriptor);
}

void limit_to(int resource, std::size_t bytes) {
  if (bytes == 0) return;
  const rlimit limit = {bytes, bytes};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

}  // namespace

const char* program_path() { return MASKGRAD_BINARY; }

bool has_terminals() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master >= 0) ::close(master);
  return master >= 0;
}

CliProcess::CliProcess(const ScratchFolder& folder, const std::vector<std::string>& args,
                       CliOptions options)
    : folder_(folder), options_(std::move(options)), number_(next_number()) {
  std::vector<char*> argv = {options_.called.data()};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  write_text(path("in"), options_.input);
  for (const char* stream : {"out", "err"}) write_text(path(stream), "");  // it may die at once
  struct winsize size {};
  size.ws_col = static_cast<unsigned short>(options_.terminal_columns);
  const bool on_terminal = options_.terminal_columns > 0;
  pid_ = on_terminal ? ::forkpty(&terminal_, nullptr, nullptr, &size) : ::fork();
  if (pid_ == 0) execute(argv.data(), on_terminal);
}

bool CliProcess::reaches(const std::filesystem::path& file) {
  while (!std::filesystem::exists(file)) {
    siginfo_t ended{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT);
    if (ended.si_pid != 0) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void CliProcess::signal(int number) { ::kill(pid_, number); }

void CliProcess::type(std::string_view keys) {
  ASSERT_EQ(::write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
}

bool CliProcess::takes_keys() const {
  termios settings{};
  for (unsigned ms = 0; ms < 1000 * kMostSeconds; ++ms) {
    if (::tcgetattr(terminal_, &settings) != 0) return false;
    if ((settings.c_lflag & ICANON) == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

bool CliProcess::shows(std::string_view text) {
  std::size_t at = shown_.find(text, seen_);
  while (at == std::string::npos) {
    if (!read_terminal()) return false;
    at = shown_.find(text, seen_);
  }
  seen_ = at + text.size();
  return true;
}

CliResult CliProcess::wait() {
  if (terminal_ >= 0) {
    while (read_terminal()) continue;
    ::close(terminal_);
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (terminal_ >= 0) return {code, shown_, ""};
  const bool captured = options_.out.empty() && !options_.close_out;
  return {code, captured ? read_file(path("out")) : "", read_file(path("err"))};
}

std::string CliProcess::path(const char* stream) const {
  return folder_.path().string() + "/." + stream + std::to_string(number_);
}

void CliProcess::execute(char** argv, bool on_terminal) const {
  if (!on_terminal) {
    redirect(STDIN_FILENO, path("in"), O_RDONLY);
    redirect(STDOUT_FILENO, options_.out.empty() ? path("out") : options_.out,
             O_WRONLY | O_CREAT | O_TRUNC);
    redirect(STDERR_FILENO, path("err"), O_WRONLY | O_CREAT | O_TRUNC);
  }
  if (options_.close_out) ::close(STDOUT_FILENO);
  if (options_.out_descriptor >= 0) ::dup2(options_.out_descriptor, STDOUT_FILENO);
  limit_to(RLIMIT_FSIZE, options_.file_limit);
  limit_to(RLIMIT_AS, options_.memory_limit);
  for (const std::string& variable : options_.environment) {
    ::putenv(const_cast<char*>(variable.c_str()));
  }
  ::alarm(kMostSeconds);  // a program that hangs ends with code 142
  const std::filesystem::path folder = folder_.path() / options_.folder;
  if (::chdir(folder.c_str()) == 0) ::execv(program_path(), argv);
  ::_exit(126);
}

bool CliProcess::read_terminal() {
  char buffer[4096];
  const ssize_t got = ::read(terminal_, buffer, sizeof buffer);
  if (got > 0) shown_.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

void CliTest::SetUp() {
  ASSERT_EQ(run({"data", "arithmetic", "--out", "d", "--shards", "2", "--samples", "40"}).code, 0);
}

CliProcess CliTest::start(const std::vector<std::string>& args, CliOptions options) {
  return {folder_, args, std::move(options)};
}

CliResult CliTest::run(const std::vector<std::string>& args, CliOptions options) {
  return start(args, std::move(options)).wait();
}

CliResult CliTest::train(const std::vector<std::string>& more, CliOptions options) {
  std::vector<std::string> args = {"train", "blog", "--data", "d", "--progress", "off"};
  args.insert(args.end(), more.begin(), more.end());
  return run(args, std::move(options));
}

void CliTest::expect_error(const CliResult& result, int code, const std::string& text) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  EXPECT_THAT(result.err, ::testing::StartsWith("maskgrad: "));
  EXPECT_THAT(result.err, ::testing::HasSubstr(text));
  EXPECT_EQ(result.out, "");
}

bool CliTest::exists(const std::string& name) const { return std::filesystem::exists(path(name)); }

std::string CliTest::read(const std::string& name) const { return read_file(path(name)); }

void CliTest::write(const std::string& name, std::string_view text) const {
  write_text(path(name), text);
}

}  // namespace maskgrad::test
