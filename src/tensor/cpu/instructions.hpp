// Which of a processor's instructions the library was compiled for.
#pragma once

#include <string_view>

namespace maskgrad {

/// What operations compute with, named by its vectors: "AVX-512", "AVX2 with FMA", "AVX2", "AVX",
/// "SSE2" or "NEON"; or "no vectors". The compiler's options for the library decide it (-march),
/// not those for the caller. Of a library that is installed for several levels of x86-64, this is
/// the level that was loaded. Bits of results may differ between two of them.
std::string_view instruction_set();

}  // namespace maskgrad
