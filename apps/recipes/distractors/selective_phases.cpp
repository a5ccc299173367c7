#include "recipes/distractors/selective_phases.hpp"

#include <algorithm>
#include <cmath>

namespace maskgrad::apps {

std::int64_t SelectivePhases::begin_of(SelectivePhase phase) const {
  const double shares[] = {0, options_.warm_up, options_.calibrate, options_.select};
  double share = 0;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(phase); ++i) share += shares[i];
  return std::llround(std::min(share, 1.0) * static_cast<double>(options_.steps));
}

SelectivePhase SelectivePhases::at(std::int64_t step) const {
  using enum SelectivePhase;
  for (const SelectivePhase phase : {kTune, kSelect, kCalibrate}) {
    if (step >= begin_of(phase)) return phase;
  }
  return kWarmUp;
}

std::int64_t SelectivePhases::within_select(double share) const {
  const auto begin = static_cast<double>(begin_of(SelectivePhase::kSelect)),
             end = static_cast<double>(begin_of(SelectivePhase::kTune));
  return std::llround(begin + share * (end - begin));
}

double SelectivePhases::cost_at(std::int64_t step) const {
  const Ramp rises = {options_.cost / 3, options_.cost, within_select(0), within_select(0.2)};
  return rises.at(step);
}

double SelectivePhases::tolerance_at(std::int64_t step) const {
  const Ramp falls = {options_.tolerance, options_.last_tolerance, within_select(0.4),
                      within_select(0.9), Ramp::Kind::kGeometric};
  return falls.at(step);
}

}  // namespace maskgrad::apps
