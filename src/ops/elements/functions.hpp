// Fast functions of many numbers at once, for elementwise work of one's own.
//
// They compute in full vectors, with the code of the operations of the same name. Results are
// within 2 units in the last place (ulp) of the exact ones in float, and within 4 ulp in double,
// denormal ones too. At infinity a function takes its limit. NaN gives NaN. An element has the same
// bits wherever it stands.
//
// y and x have one size, and may be the same memory. If they overlap in another way, the contents
// of y are undefined. Each function throws Error when the sizes differ.
#pragma once

#include <span>

namespace maskgrad::ops {

void exp(std::span<const float> x, std::span<float> y);  ///< e^x
void exp(std::span<const double> x, std::span<double> y);
void log(std::span<const float> x, std::span<float> y);  ///< natural logarithm; NaN for x < 0
void log(std::span<const double> x, std::span<double> y);
void sqrt(std::span<const float> x, std::span<float> y);  ///< square root; NaN for x < 0
void sqrt(std::span<const double> x, std::span<double> y);
void tanh(std::span<const float> x, std::span<float> y);  ///< hyperbolic tangent
void tanh(std::span<const double> x, std::span<double> y);
/// (2 / sqrt(pi)) times the integral of e^(-t^2) from 0 to x.
void erf(std::span<const float> x, std::span<float> y);
void erf(std::span<const double> x, std::span<double> y);
void sigmoid(std::span<const float> x, std::span<float> y);  ///< 1 / (1 + e^-x)
void sigmoid(std::span<const double> x, std::span<double> y);
void softplus(std::span<const float> x, std::span<float> y);  ///< log(1 + e^x), without overflow
void softplus(std::span<const double> x, std::span<double> y);

}  // namespace maskgrad::ops
