#include <cmath>

#include <maskgrad/layers/learned_mask/ramp.hpp>
#include <maskgrad/tensor/error.hpp>

namespace maskgrad {

double Ramp::at(std::int64_t step) const {
  if (step >= end) return last;
  if (step <= begin) return first;
  const double share = static_cast<double>(step - begin) / static_cast<double>(end - begin);
  if (kind == Kind::kLinear) return first + (last - first) * share;
  return first * std::pow(last / first, share);
}

void check_ramp(const char* name, const Ramp& ramp, double least, bool is_above) {
  for (const double value : {ramp.first, ramp.last}) {
    check(std::isfinite(value) && (is_above ? value > least : value >= least), name,
          "a ramp has numbers {} {}, not {}", is_above ? "above" : "of at least", least, value);
  }
  check(ramp.begin >= 0 && ramp.begin <= ramp.end, name,
        "a ramp begins at step 0 or later and ends no earlier; got {} and {}", ramp.begin,
        ramp.end);
  check(ramp.kind == Ramp::Kind::kLinear || (ramp.first > 0 && ramp.last > 0), name,
        "a geometric ramp has numbers above 0; got {} and {}", ramp.first, ramp.last);
}

}  // namespace maskgrad
