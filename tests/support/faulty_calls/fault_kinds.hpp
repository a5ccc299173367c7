// What the library can do to one call of the program, and how it is told.
#pragma once

namespace maskgrad::test {

/// The variable MASKGRAD_FAULT holds "<kind> <at> <folder> <file>": the `at`-th call that touches
/// the folder and that the kind can befall suffers it. When the program ends, the number of such
/// calls is written to the file.
enum class FaultKind {
  kRefused,         // it fails as on a full or broken disk
  kRefusedForGood,  // so do all calls after it
  kInterrupted,     // a signal comes first: open, read, write, ftruncate, fsync, close, flock
  kShort,           // one byte is read or written
  kKilledBefore,    // the process is killed before it,
  kKilledAfter,     // after it,
  kKilledWithin,    // or when half of the bytes are written
};

}  // namespace maskgrad::test
