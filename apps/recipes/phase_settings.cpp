#include "recipes/phase_settings.hpp"

#include <maskgrad/tensor/error.hpp>

namespace maskgrad::apps {

Setting share_setting(const char* key, double value, const char* help) {
  return Setting{key, value, fmt::format("share {}", help)}.at_least(0).at_most(1);
}

Setting size_setting(const char* key, std::int64_t value, const char* help) {
  return Setting{key, value, help}.at_least(1).at_most(4096);
}

void check_phases(const Settings& settings, std::span<const char* const> shares,
                  const char* recipe) {
  constexpr double kRounding = 1e-12;  // 0.34 + 0.56 + 0.1 is more than 1
  check(settings.integer("steps") > 0, recipe,
        "--steps must be above 0: the phases of the run are shares of them");
  double sum = 0;
  for (const char* share : shares) sum += settings.real(share);
  check(sum <= 1 + kRounding, recipe,
        "the phases take {} of the steps; they may take all of them at most", sum);
}

}  // namespace maskgrad::apps
