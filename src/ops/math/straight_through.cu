#include <maskgrad/ops/functors/cuda_kernels.hpp>
#include <maskgrad/ops/functors/rules.hpp>

namespace maskgrad::ops {
namespace {

const bool kFilled = fill_rule<functors::StraightThrough>("straight_through");

}  // namespace
}  // namespace maskgrad::ops
