#include "recipes/distractors/sampling.hpp"

namespace maskgrad::apps {

bool learns_mask(std::string_view sampler) { return sampler != "none" && sampler != "oracle"; }

Sampling sampling_of(const std::string& sampler) {
  if (sampler == "soft") return {.sharpness = 16};
  if (sampler == "gumbel") return {.sharpness = 4};
  // Its probability to count is above that of a sigmoid, so a lower logit is as open.
  if (sampler == "hard-concrete") return {.sharpness = 4, .open = 2};
  if (sampler == "straight-through") return {.fades = true, .pays = 0.4};
  if (sampler == "reinforce") return {.is_scored = true};
  return {};
}

std::unique_ptr<Sampler> drawing_sampler(const std::string& name, const Ramp& temperature) {
  if (name == "straight-through") return std::make_unique<StraightThrough>(/*draws=*/true);
  return make_sampler(name, temperature);
}

}  // namespace maskgrad::apps
