// The gradient of a bias that pairs share. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/attention/call.hpp>

namespace maskgrad::ops::attention {

/// Writes it to `dbias`. delta: of each query, as in Backward.
void sum_bias_gradient(const ProblemOnDevice& on, const AttentionValues& values,
                       const Tensor& delta, const Tensor& grad_output, Tensor& dbias);

}  // namespace maskgrad::ops::attention
