// System calls that fail when a test wants them to.
#pragma once

#include <string>
#include <utility>

#include "support/errors.hpp"

namespace maskgrad::test {

/// What becomes of one call of open, write, ftruncate, fsync, close or rename. A close is done in
/// any case, as the system does it.
enum class Fault {
  kRefused,         // it fails as on a full disk
  kRefusedForGood,  // so do all calls after it
  kInterrupted,     // a signal comes first
  kShort,           // a write takes one byte only; other calls are not counted
  kDeath,           // the process is gone before it
};

/// While it lives, the `at`-th call (1, 2, ...) in this program suffers the fault.
class FaultAt {
 public:
  FaultAt(Fault fault, int at);
  ~FaultAt();
  FaultAt(const FaultAt&) = delete;
  FaultAt& operator=(const FaultAt&) = delete;

  /// Whether there was such a call.
  bool was_reached() const;
};

/// What came of some work under a fault.
struct Outcome {
  std::string error;  // as error_of
  bool was_reached;
};

/// Does `work` with the fault at its `at`-th call.
template <class Work>
Outcome with_fault(Fault fault, int at, Work&& work) {
  const FaultAt planned(fault, at);
  std::string error = error_of(std::forward<Work>(work));
  return {std::move(error), planned.was_reached()};
}

}  // namespace maskgrad::test
