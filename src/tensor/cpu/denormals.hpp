// Denormal numbers cost a processor a hundred cycles each; training never needs them.
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

/// Sets a mode for this thread, and the former one again at the end of the scope.
class ScopedDenormalMode {
 public:
  explicit ScopedDenormalMode(DenormalMode mode) : former_(DenormalMode::current()) { mode.set(); }
  ~ScopedDenormalMode() { former_.set(); }
  ScopedDenormalMode(const ScopedDenormalMode&) = delete;
  ScopedDenormalMode& operator=(const ScopedDenormalMode&) = delete;

 private:
  DenormalMode former_;
};

/// While one lives, this thread and the work it hands out read and write denormal numbers as 0.
/// Adam's moments of parameters that get no gradient decay into the denormal range; steps then take
/// up to 25 times as long.
class FlushDenormals : ScopedDenormalMode {
 public:
  FlushDenormals() : ScopedDenormalMode(DenormalMode::current().flushing()) {}
};

}  // namespace maskgrad
