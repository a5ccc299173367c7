#include "cli/output.hpp"

#include <cerrno>
#include <system_error>

#include <poll.h>
#include <unistd.h>

#include <maskgrad/tensor/error.hpp>

#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::size_t kBufferSize = 1 << 16;

std::string results;  // not yet handed over
int code_of_lost_messages = 0;

// Writes all of it, in pieces where the system takes no more at once. Returns 0 or the errno value.
int write_all(int stream, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(stream, text.data(), text.size());
    if (wrote >= 0) {
      text.remove_prefix(static_cast<std::size_t>(wrote));
    } else if (errno == EAGAIN) {
      // Whoever shares the stream has set it so.
      pollfd wait{.fd = stream, .events = POLLOUT, .revents = 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

void write_output(std::string_view text) {
  results += text;
  if (results.size() >= kBufferSize) flush_output();
}

void flush_output() {
  // Taken out first, so that a failure is reported once.
  const std::string text = std::exchange(results, {});
  if (const int code = write_all(STDOUT_FILENO, text)) {
    fail("stdout", "cannot write the results: {}", std::generic_category().message(code));
  }
}

void write_message(std::string_view text) {
  if (const int code = write_all(STDERR_FILENO, text)) code_of_lost_messages = code;
}

void warn(const std::string& text) { write_message(fmt::format("maskgrad: {}\n", one_line(text))); }

std::string lost_messages() {
  return code_of_lost_messages == 0 ? "" : std::generic_category().message(code_of_lost_messages);
}

void report_failure(std::string_view name, std::string_view text) noexcept {
  write_all(STDOUT_FILENO, results);
  try {
    warn(fmt::format("{}: {}", name, text));
  } catch (...) {  // there is no memory for the text
    write_all(STDERR_FILENO, "maskgrad: memory: the system has no more\n");
  }
}

}  // namespace maskgrad::apps
