#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

/// maskgrad::ops::gelu_tanh(), written outside.
maskgrad::Variable own_gelu(const maskgrad::Variable& x);
