#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/functors/cuda_kernels.hpp>

namespace maskgrad::ops {
namespace {

using namespace functors;

// Those that keep and fill are its gradients; the first serves keep_where, too.
const bool kFilled = fill_elementwise<Where, Conditions, Tensor, Tensor>("where") &&
                     fill_elementwise<KeepWhere<>, Tensor, Conditions>("where") &&
                     fill_elementwise<FillWhere<>, Tensor, Conditions>("where");

}  // namespace
}  // namespace maskgrad::ops
