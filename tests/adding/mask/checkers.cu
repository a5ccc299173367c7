#include <maskgrad/ops/cuda/decisions.hpp>

#include "checkers.hpp"

namespace {

const bool kFilled = maskgrad::ops::fill_decisions<Checkers>();

}  // namespace
