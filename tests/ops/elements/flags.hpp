// What code becomes with the flags of the file that includes this.
#pragma once

#include <cstdint>
#include <string>
#include <typeinfo>

#include <maskgrad/ops/elements/map.hpp>

namespace maskgrad::test {

/// 1 + 2 x - x^3, a function that files of different flags share.
struct Cubic {
  template <class V>
  V operator()(V x) const {
    return 1 + x * (2 - x * x);
  }
};

struct Compiled {
  std::string elements;   // the type's name in the program
  std::uintptr_t mapper;  // where the function stands that map_each() became
  Tensor result;
};

static inline Compiled compiled_here(const Tensor& x) {
  Tensor (*const mapper)(const char*, const Cubic&, const Tensor&) = ops::map_each<Cubic>;
  return {typeid(ops::Elements<float>).name(), reinterpret_cast<std::uintptr_t>(mapper),
          mapper("cubic", Cubic(), x)};
}

/// The same of a file that may use no AVX (on x86).
Compiled compiled_without_avx(const Tensor& x);

}  // namespace maskgrad::test
