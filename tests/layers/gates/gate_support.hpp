// What the tests of all gates share.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>

#include "layers/matrix.hpp"
#include "layers/support.hpp"

namespace maskgrad::test {

using MakeLayer = std::function<std::unique_ptr<Layer>()>;

/// A matrix [I, O] is within sqrt(6 / (I + O)), and no element is 0.
void expect_glorot(const Tensor& matrix);

/// Each expectation for layers of [..., features], made by `make`.

/// Backward agrees with central differences, for all parameters and the input, alone and with three
/// such layers one after another. The layer's output must have the features of its input. The
/// parameters are below `size`: sharp attention is too steep for differences.
void expect_gradients(const MakeLayer& make, std::int64_t features, double size = 1);
/// No sequence, no position, and no position that exists: shapes and masks are kept, no NaN of a
/// hole reaches a gradient, and all gradients are exactly 0.
void expect_nothing_of_nothing(const MakeLayer& make, std::int64_t features);
/// Inputs of +-1e4 give finite values and gradients.
void expect_finite_at_extremes(const MakeLayer& make, std::int64_t features);
/// Inputs of other features, and a single number, are refused by name.
void expect_refusals(const MakeLayer& make, std::int64_t features);
/// All of them.
void expect_sound(const MakeLayer& make, std::int64_t features);

}  // namespace maskgrad::test
