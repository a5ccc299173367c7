#include <cstdlib>
#include <string_view>

#include <maskgrad/tensor/cuda/environment.hpp>
#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad::cuda {
namespace {

bool flag(const char* variable, bool otherwise) {
  const char* const value = std::getenv(variable);
  const std::string_view text = value ? value : "";
  check(text.empty() || text == "0" || text == "1", "device", "{} must be 0 or 1, not '{}'",
        variable, shortened(text));
  return text.empty() ? otherwise : text == "1";
}

}  // namespace

bool waits_for_each_launch() {
  static const bool waits = flag("MASKGRAD_CUDA_SYNC", false);
  return waits;
}

bool pools_memory() {
  static const bool pools = flag("MASKGRAD_CUDA_POOL", true);
  return pools;
}

void check_environment() {
  static_cast<void>(waits_for_each_launch());
  static_cast<void>(pools_memory());
}

}  // namespace maskgrad::cuda
