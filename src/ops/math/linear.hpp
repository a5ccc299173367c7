// A matrix product, a bias and an activation in one operation.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

enum class LinearActivation : std::uint8_t { kNone, kRelu };

/// y = x weight + bias, then max(., 0) with kRelu. x [..., I], weight [I, O], bias [O] -> [..., O].
/// Keeps the mask of x. The same bits as relu(add(matmul(x, weight), bias)), in one pass over y
/// instead of three.
/// Throws Error for shapes or dtypes that do not fit, and a weight or bias that carries a mask.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                LinearActivation activation = LinearActivation::kNone);

}  // namespace maskgrad::ops
