#include "bench_machine.hpp"

#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include <maskgrad/tensor/cpu/threads.hpp>

// OpenBLAS only; another BLAS leaves them undefined.
extern "C" __attribute__((weak)) char* openblas_get_config();
extern "C" __attribute__((weak)) char* openblas_get_corename();

namespace maskgrad::apps {
namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

std::string compiler() {
#ifdef __clang__
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

// The configuration opens with name and version; what follows is how it was built.
std::string blas() {
  if (!openblas_get_config || !openblas_get_corename) return "";
  std::istringstream words(openblas_get_config());
  std::string name, version;
  words >> name >> version;
  return fmt::format("{} {}, kernels for {}", name, version, openblas_get_corename());
}

}  // namespace

Machine this_machine() {
  return {processor(), num_threads(), compiler(), MASKGRAD_NATIVE != 0, blas()};
}

}  // namespace maskgrad::apps
