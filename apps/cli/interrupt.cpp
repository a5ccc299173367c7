#include "cli/interrupt.hpp"

#include <csignal>

namespace maskgrad::apps {
namespace {

std::atomic<bool> stop_requested{false};
std::atomic<int> stop_signal{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  stop_signal = signal;
  stop_requested = true;
  std::signal(signal, SIG_DFL);
}

void handle(void (*handler)(int)) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(signal, handler) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

}  // namespace

InterruptRequest::InterruptRequest() {
  stop_requested = false;
  handle(on_signal);
}

InterruptRequest::~InterruptRequest() { handle(SIG_DFL); }

const std::atomic<bool>& InterruptRequest::requested() const { return stop_requested; }
int InterruptRequest::exit_code() const { return 128 + stop_signal; }

void survive_closed_pipes() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace maskgrad::apps
