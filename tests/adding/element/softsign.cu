#include <maskgrad/ops/cuda/elements.hpp>

#include "softsign.hpp"

namespace {

const bool kFilled = maskgrad::ops::fill_map_each<Softsign, 1>("softsign") &&
                     maskgrad::ops::fill_map_each<SoftsignGradient, 2>("softsign");

}  // namespace
