#include "cli/count_progress.hpp"

#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>

#include "cli/output.hpp"
#include "cli/terminal.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kClearLine = "\r\x1b[K";

}  // namespace

CountProgress::CountProgress(std::string noun)
    : noun_(std::move(noun)), is_shown_(has_terminal()) {}

void CountProgress::show(std::int64_t done, std::int64_t all) {
  const Clock::time_point now = Clock::now();
  if (!is_shown_ || now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  write_message(fmt::format("{}{} of {}", kClearLine, with_commas(done), count_of(all, noun_)));
  is_drawn_ = true;
}

void CountProgress::clear() {
  if (is_drawn_) write_message(kClearLine);
  is_drawn_ = false;
}

}  // namespace maskgrad::apps
