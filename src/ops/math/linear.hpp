// A matrix product, a bias and an activation in one operation.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// What linear() does with x weight + bias: nothing, or max(., 0).
enum class LinearActivation : std::uint8_t { kNone, kRelu };

/// y = x weight + bias, or max(x weight + bias, 0) with kRelu.
/// x [..., I], weight [I, O], bias [O] -> [..., O]. Keeps the mask of x.
/// Gives the same bits as relu(add(matmul(x, weight), bias)), in one pass over y instead of three.
/// Throws Error for shapes or dtypes that do not fit, for a weight or bias that carries a mask, and
/// for an x [B, S] that carries one, because its positions would be summed.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                LinearActivation activation = LinearActivation::kNone);

}  // namespace maskgrad::ops
