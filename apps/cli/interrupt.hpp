// Ctrl-C, kill and a closed terminal, turned into a request that long work looks at.
#pragma once

#include <atomic>

namespace maskgrad::apps {

/// While one lives, the first SIGINT, SIGTERM or SIGHUP sets requested(); a second one ends the
/// program at once, as if this were not there. A signal that the program was started to ignore, as
/// under nohup, stays ignored.
class InterruptRequest {
 public:
  InterruptRequest();
  ~InterruptRequest();
  InterruptRequest(const InterruptRequest&) = delete;
  InterruptRequest& operator=(const InterruptRequest&) = delete;

  const std::atomic<bool>& requested() const;
  /// The exit code that shells expect: 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP.
  int exit_code() const;
};

/// From here on, a reader of messages or results that has left is no reason to die: writing to it
/// fails. For programs that have more to do than to be read.
void survive_closed_pipes();

}  // namespace maskgrad::apps
