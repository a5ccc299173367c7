#include "cli/input.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace maskgrad::apps {
namespace {

constexpr std::size_t kLongest = 1 << 20;
constexpr std::size_t kEndless = 1 << 28;  // who sends that much sends no lines

}  // namespace

bool InputLines::next(std::string& line) {
  if (is_within_line_) skip_line();
  std::size_t end = buffer_.find('\n', used_);
  while (end == std::string::npos) {
    buffer_.erase(0, std::exchange(used_, 0));
    const std::size_t searched = buffer_.size();
    if (searched > kLongest) {
      is_within_line_ = true;
      ++count_;
      throw LongLine("stdin", fmt::format("the line has more than {} bytes", kLongest));
    }
    if (!read_more()) break;
    end = buffer_.find('\n', searched);
  }
  const bool is_last = end == std::string::npos;
  if (is_last && used_ == buffer_.size()) return false;
  line = buffer_.substr(used_, is_last ? end : end - used_);
  used_ = is_last ? buffer_.size() : end + 1;
  if (line.ends_with('\r')) line.pop_back();
  ++count_;
  return true;
}

void InputLines::skip_line() {
  std::size_t skipped = 0;
  std::size_t end = buffer_.find('\n', used_);
  while (end == std::string::npos) {
    skipped += buffer_.size();
    check(skipped <= kEndless, "stdin", "line {} has no end within {} bytes", count_, kEndless);
    buffer_.clear();
    used_ = 0;
    if (!read_more()) break;
    end = buffer_.find('\n');
  }
  used_ = end == std::string::npos ? buffer_.size() : end + 1;
  is_within_line_ = false;
}

bool InputLines::read_more() {
  char bytes[1 << 14];
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got >= 0) {
      buffer_.append(bytes, static_cast<std::size_t>(got));
      return got > 0;
    }
    if (errno == EAGAIN) {
      // Whoever shares the stream has set it so.
      pollfd wait{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      fail("stdin", "cannot read it: {}", std::generic_category().message(errno));
    }
  }
}

}  // namespace maskgrad::apps
