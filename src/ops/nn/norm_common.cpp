#include <cmath>

#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/nn/norm_common.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>

namespace maskgrad::ops {

void check_eps(const OpDef& op, double eps, DType dtype) {
  const double value = real_argument(op, "eps", eps, dtype);
  check(value >= 0 && std::isfinite(value), op.name.c_str(),
        "eps must be finite and at least 0, got {}", value);
}

void check_no_masked_features(const OpDef& op, const Variable& x, const char* instead) {
  check(!x.mask().defined() || x.rank() > 2, op.name.c_str(),
        "would read masked positions of {}; {}", x.shape(), instead);
}

void sum_products_into(const OpDef& op, const Tensor& g, const Tensor& xhat, Tensor& sums) {
  const char* name = op.name.c_str();
  sum_into(name, map_elements(name, functors::Multiply(), g, xhat), sums);
}

}  // namespace maskgrad::ops
