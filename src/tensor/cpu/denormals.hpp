// Whether a thread computes with denormal numbers, or reads and writes them as 0.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace maskgrad {

/// How this thread's floating-point operations treat denormal numbers. On processors without SSE
/// there is only one mode.
struct DenormalMode {
  unsigned control_word = 0;

#if defined(__SSE__)
  static DenormalMode current() { return {_mm_getcsr()}; }
  DenormalMode flushing() const { return {control_word | 0x8000u | 0x0040u}; }  // FTZ | DAZ
  void set() const { _mm_setcsr(control_word); }
#else
  static DenormalMode current() { return {}; }
  DenormalMode flushing() const { return *this; }
  void set() const {}
#endif
};

/// Sets a mode for this thread, and restores the former one at the end of the scope.
class ScopedDenormalMode {
 public:
  explicit ScopedDenormalMode(DenormalMode mode) : former_(DenormalMode::current()) { mode.set(); }
  ~ScopedDenormalMode() { former_.set(); }
  ScopedDenormalMode(const ScopedDenormalMode&) = delete;
  ScopedDenormalMode& operator=(const ScopedDenormalMode&) = delete;

 private:
  DenormalMode former_;
};

/// While one lives, this thread and the parts of its parallel_for() read and write denormal numbers
/// as 0. Processors compute slowly with denormal numbers, and training does not need them:
/// Adam's moments of parameters that get no gradient decay into the denormal range.
class FlushDenormals : ScopedDenormalMode {
 public:
  FlushDenormals() : ScopedDenormalMode(DenormalMode::current().flushing()) {}
};

}  // namespace maskgrad
