// Functions of each element, by name.
#pragma once

#include <string_view>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad {

/// A function of each element, see ops/math/activation.hpp.
enum class Activation : std::uint8_t { kRelu, kGelu, kGeluTanh, kSilu, kTanh, kElu, kSigmoid };
/// "gelu_tanh" for kGeluTanh: the name of its operation.
std::string_view to_string(Activation activation);
/// The inverse. Throws Error for any other text.
Activation activation_from_string(std::string_view name);
/// activation(x).
Variable apply(Activation activation, const Variable& x);

}  // namespace maskgrad
