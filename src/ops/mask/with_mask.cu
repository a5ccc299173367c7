#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/functors/cuda_kernels.hpp>

namespace maskgrad::ops {
namespace {

// That of float is beside where(), whose gradient it is.
const bool kFilled =
    fill_elementwise<functors::KeepWhere<double>, Tensor, Conditions>("keep_where");
// With the kernel of fill_holes().
const SharedKernels kWithMask("with_mask"), kFillMasked("fill_masked");

}  // namespace
}  // namespace maskgrad::ops
