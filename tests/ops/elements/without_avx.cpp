// tests/CMakeLists.txt compiles this file with -mno-avx.
#include "ops/elements/flags.hpp"

namespace maskgrad::test {

Compiled compiled_without_avx(const Tensor& x) { return compiled_here(x); }

}  // namespace maskgrad::test
