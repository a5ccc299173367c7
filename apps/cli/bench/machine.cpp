#include "cli/bench/machine.hpp"

#include <fstream>

#include <maskgrad/ops/cpu/gemm/blas.hpp>
#include <maskgrad/ops/math/cublas_description.hpp>
#include <maskgrad/tensor/cpu/instructions.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/error.hpp>

#include "cli/output.hpp"

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

// A machine may have none, until a product is so large that it needs one.
std::string blas() {
  try {
    return ops::Blas::loaded().description();
  } catch (const Error& error) {
    warn(fmt::format("{}: {}", error.name(), error.text()));
    return "";
  }
}

}  // namespace

Machine this_machine() {
  return {
      processor(), num_threads(), compiler(), MASKGRAD_NATIVE != 0, std::string(instruction_set()),
      blas()};
}

std::string cublas_of_device() { return ops::cublas_description(); }

}  // namespace maskgrad::apps
