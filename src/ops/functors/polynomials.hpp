// Polynomials and constants, written by tests/reference/polynomials.py. Installed for
// ops/cuda/elements.hpp.
#pragma once

#include <array>
#include <cstddef>

#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad::ops::math {

/// c_0 + c_1 x + c_2 x^2 + ..., c_0 being terms[0] + rest.
template <class T, std::size_t n>
struct Polynomial {
  std::array<T, n> terms;
  T rest;
};

/// Of polynomials of degree n - 1 and n.
template <class T, std::size_t n>
struct Ratio {
  std::array<T, n> upper;
  std::array<T, n + 1> lower;
};

/// high + low
template <class T>
struct Split {
  T high, low;
};

/// sqrt(2)
template <class T>
MASKGRAD_TABLE Split<T> kRootOfTwo{};
template <>
MASKGRAD_TABLE Split<float> kRootOfTwo<float>{0x1.6a09e6p+0f, 0x1.9fcef4p-26f};
template <>
MASKGRAD_TABLE Split<double> kRootOfTwo<double>{0x1.6a09e667f3bcdp+0, -0x1.bdd3413b26456p-54};

/// log 2. `high` is so short that n times it is exact for every exponent n.
template <class T>
MASKGRAD_TABLE Split<T> kLog2{};
template <>
MASKGRAD_TABLE Split<float> kLog2<float>{0x1.62e4p-1f, 0x1.7f7d1cp-20f};
template <>
MASKGRAD_TABLE Split<double> kLog2<double>{0x1.62e42fefa4p-1, -0x1.8432a1b0e2634p-43};

/// z0 = 1.278..., the root of 1 + e^-z - z: the slope of silu is 0 at -z0.
template <class T>
MASKGRAD_TABLE Split<T> kSiluRoot{};
template <>
MASKGRAD_TABLE Split<float> kSiluRoot<float>{0x1.474974p+0f, -0x1.bdf6fap-27f};
template <>
MASKGRAD_TABLE Split<double> kSiluRoot<double>{0x1.474973c84120bp+0, 0x1.f8d74bc9ac154p-54};

/// phi(0) = 1 / sqrt(2 pi), phi being the density of the normal distribution.
template <class T>
MASKGRAD_TABLE Split<T> kDensity{};
template <>
MASKGRAD_TABLE Split<float> kDensity<float>{0x1.988454p-2f, -0x1.857936p-27f};
template <>
MASKGRAD_TABLE Split<double> kDensity<double>{0x1.9884533d43651p-2, -0x1.cbc0d30ebfd15p-56};

/// phi(0) / (1 + 7 / 32).
template <class T>
MASKGRAD_TABLE Split<T> kGeluFactor{};
template <>
MASKGRAD_TABLE Split<float> kGeluFactor<float>{0x1.4f318p-2f, -0x1.3f9168p-27f};
template <>
MASKGRAD_TABLE Split<double> kGeluFactor<double>{0x1.4f317f60374c5p-2, 0x1.8033d61b485adp-56};

/// z0 = 0.751..., the root of Phi(-z) - z phi(z): the slope of gelu is 0 at -z0. Phi is the normal
/// distribution function, phi its density.
template <class T>
MASKGRAD_TABLE Split<T> kGeluRoot{};
template <>
MASKGRAD_TABLE Split<float> kGeluRoot<float>{0x1.80ead2p-1f, -0x1.a03fd4p-27f};
template <>
MASKGRAD_TABLE Split<double> kGeluRoot<double>{0x1.80ead197f00b4p-1, -0x1.13e74c58cada8p-56};

/// 2 sqrt(2 / pi).
template <class T>
MASKGRAD_TABLE Split<T> kGeluTanhLinear{};
template <>
MASKGRAD_TABLE Split<float> kGeluTanhLinear<float>{0x1.988454p+0f, -0x1.857936p-25f};
template <>
MASKGRAD_TABLE Split<double> kGeluTanhLinear<double>{0x1.9884533d43651p+0, -0x1.cbc0d30ebfd15p-54};

/// 2 sqrt(2 / pi) 0.044715.
template <class T>
MASKGRAD_TABLE Split<T> kGeluTanhCubic{};
template <>
MASKGRAD_TABLE Split<float> kGeluTanhCubic<float>{0x1.2444f2p-4f, 0x1.49b16ap-29f};
template <>
MASKGRAD_TABLE Split<double> kGeluTanhCubic<double>{0x1.2444f2a4d8b4bp-4, -0x1.6c843a29d1c7p-61};

/// z0 = 0.752..., the root of 1 - z u'(z) sigmoid(u(z)) with u(z) = 2 sqrt(2 / pi) (z + 0.044715
/// z^3): the slope of gelu_tanh is 0 at -z0.
template <class T>
MASKGRAD_TABLE Split<T> kGeluTanhRoot{};
template <>
MASKGRAD_TABLE Split<float> kGeluTanhRoot<float>{0x1.8142ap-1f, -0x1.85a06cp-27f};
template <>
MASKGRAD_TABLE Split<double> kGeluTanhRoot<double>{0x1.81429f9e97e4dp-1, -0x1.4f523ed77dbdcp-55};

/// (e^x - 1 - x) / x^2 for |x| <= log(2) / 2. The error is that of e^x. Relative error 2^-28.03 in
/// float, 2^-57.61 in double.
template <class T>
MASKGRAD_TABLE Polynomial<T, 1> kExpTerms{};
template <>
MASKGRAD_TABLE Polynomial<float, 5> kExpTerms<float>{
    {0x1.fffff8p-2f, 0x1.55548ep-3f, 0x1.555b9ap-5f, 0x1.123beep-7f, 0x1.684fccp-10f}, 0x0p+0f};
template <>
MASKGRAD_TABLE Polynomial<double, 10> kExpTerms<double>{
    {0x1.000000000000cp-1, 0x1.5555555555515p-3, 0x1.555555554fe41p-5, 0x1.1111111121199p-7,
     0x1.6c16c185f705p-10, 0x1.a01a014dbd442p-13, 0x1.a01995e5a186ep-16, 0x1.71ded7205f28ap-19,
     0x1.28b0d2fa3052ep-22, 0x1.adfa4454e656bp-26},
    0x0p+0};

/// (log((1 + s) / (1 - s)) - 2 s) / s^3 for |s| <= 3 - sqrt 8, in x = s^2. The error is that of
/// log((1 + s) / (1 - s)). Relative error 2^-30.21 in float, 2^-59.44 in double.
template <class T>
MASKGRAD_TABLE Polynomial<T, 1> kLogTerms{};
template <>
MASKGRAD_TABLE Polynomial<float, 3> kLogTerms<float>{
    {0x1.55557ap-1f, 0x1.995ed2p-2f, 0x1.31e15ap-2f}, 0x0p+0f};
template <>
MASKGRAD_TABLE Polynomial<double, 7> kLogTerms<double>{
    {0x1.5555555555594p-1, 0x1.999999997f6c6p-2, 0x1.249249424680ap-2, 0x1.c71c51c9e7426p-3,
     0x1.74664b369a232p-3, 0x1.39a0881f6f95ep-3, 0x1.2f11367ac12aap-3},
    0x0p+0};

/// (tanh z - z) / z^3 for 0 <= z <= 0.55, in x = z^2. The error is that of tanh z. Relative error
/// 2^-29.7 in float, 2^-60.55 in double.
template <class T>
MASKGRAD_TABLE Polynomial<T, 1> kTanhTerms{};
template <>
MASKGRAD_TABLE Polynomial<float, 5> kTanhTerms<float>{
    {-0x1.55554ap-2f, 0x1.110cfcp-3f, -0x1.b92268p-5f, 0x1.590fcep-6f, -0x1.9a449ep-8f}, 0x0p+0f};
template <>
MASKGRAD_TABLE Polynomial<double, 11> kTanhTerms<double>{
    {-0x1.555555555554fp-2, 0x1.1111111110788p-3, -0x1.ba1ba1b97c0f5p-5, 0x1.664f485917364p-6,
     -0x1.226e2f08c1c31p-7, 0x1.d6d299b9a38dbp-9, -0x1.7d8fbbb2268cep-10, 0x1.3482ea69140dcp-11,
     -0x1.e9680b1501125p-13, 0x1.5d5e6d00951bbp-14, -0x1.46db834e89555p-16},
    0x0p+0};

/// log(1 + x) / x for 0 <= x <= 1. Relative error 2^-27.44 in float, 2^-59.01 in double.
template <class T>
MASKGRAD_TABLE Polynomial<T, 1> kLog1pTerms{};
template <>
MASKGRAD_TABLE Polynomial<float, 10> kLog1pTerms<float>{
    {0x1p+0f, -0x1.ffffb6p-2f, 0x1.554ba4p-2f, -0x1.fefe86p-3f, 0x1.92a182p-3f, -0x1.388522p-3f,
     0x1.af3364p-4f, -0x1.cc87d2p-5f, 0x1.3ed93ap-6f, -0x1.9df6aap-9f},
    -0x1.76fe7ap-28f};
template <>
MASKGRAD_TABLE Polynomial<double, 22> kLog1pTerms<double>{{0x1p+0,
                                                           -0x1.fffffffffffe2p-2,
                                                           0x1.555555555425cp-2,
                                                           -0x1.ffffffff66c2fp-3,
                                                           0x1.9999998504a67p-3,
                                                           -0x1.555553a1939b7p-3,
                                                           0x1.249230ebafa33p-3,
                                                           -0x1.fffe150d51954p-4,
                                                           0x1.c70e07997d9cfp-4,
                                                           -0x1.9946d0e89c179p-4,
                                                           0x1.72e995e22db18p-4,
                                                           -0x1.5027945240e9dp-4,
                                                           0x1.2c2bc8f5dc917p-4,
                                                           -0x1.018a571f24d63p-4,
                                                           0x1.9a1904b7607f8p-5,
                                                           -0x1.22e93d5b460e6p-5,
                                                           0x1.602a378127c16p-6,
                                                           -0x1.5b76493da56d6p-7,
                                                           0x1.08ed8d5bb33ffp-8,
                                                           -0x1.2259c2ed2261dp-10,
                                                           0x1.94a09858d125ap-13,
                                                           -0x1.0c2feb17ebad2p-16},
                                                          -0x1.0084c04164559p-59};

/// (1 - z sigmoid(z) - x) / x^2 for |x| <= 0.6, in x = z0 - z, z0 being kSiluRoot. The error is
/// that of 1 - z sigmoid(z). Relative error 2^-28.27 in float, 2^-59.66 in double.
template <class T>
MASKGRAD_TABLE Polynomial<T, 1> kSiluSlopeTerms{};
template <>
MASKGRAD_TABLE Polynomial<float, 7> kSiluSlopeTerms<float>{
    {-0x1.be141p-4f, -0x1.907348p-5f, -0x1.353e5cp-8f, 0x1.8f69e6p-9f, 0x1.20811ep-10f,
     -0x1.084ebep-15f, -0x1.96e068p-14f},
    0x0p+0f};
template <>
MASKGRAD_TABLE Polynomial<double, 16> kSiluSlopeTerms<double>{
    {-0x1.be1410460527dp-4, -0x1.9072f07665635p-5, -0x1.353eb573cb221p-8, 0x1.8f0d828966601p-9,
     0x1.20a572dc341e3p-10, -0x1.2f7e5e6b919d4p-16, -0x1.a2a7cb76f6df7p-14, -0x1.5a2ef4906466fp-16,
     0x1.128323ae05aa5p-18, 0x1.6acc7dafd3842p-19, 0x1.0734e6a5ac43p-22, -0x1.83aac764b6cd1p-23,
     -0x1.06b2ae3ed41ffp-24, 0x1.2d48509d29d2bp-29, 0x1.71e8d27711a1dp-28, 0x1.e0d183e992d9fp-31},
    0x0p+0};

/// (1 - z u'(z) sigmoid(u(z))) / x for |x| <= 0.45, in x = z0 - z, z0 and u being those of
/// kGeluTanhRoot. Relative error 2^-29.92 in float, 2^-58.31 in double.
template <class T>
MASKGRAD_TABLE Polynomial<T, 1> kGeluTanhSlopeTerms{};
template <>
MASKGRAD_TABLE Polynomial<float, 8> kGeluTanhSlopeTerms<float>{
    {0x1.e793cep+0f, -0x1.a1f48p-1f, 0x1.f8abap-5f, 0x1.30457cp-9f, 0x1.4e4ccap-7f,
     -0x1.c885c6p-10f, -0x1.aac396p-11f, 0x1.71e22ep-12f},
    0x1.c235bp-25f};
template <>
MASKGRAD_TABLE Polynomial<double, 16> kGeluTanhSlopeTerms<double>{
    {0x1.e793cee4ce5cbp+0, -0x1.a1f47f811222ep-1, 0x1.f8ab559f907c6p-5, 0x1.303aae0a3f80dp-9,
     0x1.4e69bef911dep-7, -0x1.c8644f7ec2758p-10, -0x1.b9504628e49fbp-11, 0x1.838fbf77d0f71p-12,
     0x1.2ea37e8323ebbp-14, -0x1.1e4a65fef82fp-14, -0x1.c32fc4bdd88d5p-17, 0x1.48fc40e7dee77p-17,
     0x1.77e05693f44f2p-19, -0x1.2e0bf3a07fcf6p-20, -0x1.c2a7ff7bc8866p-22, 0x1.bd378f8ca8ca9p-24},
    0x1.fe9723ad7ff81p-54};

/// (1/2 - Phi(-z)) / z for 0 <= z <= 1, in x = z^2. The error is that of Phi(-z). Relative error
/// 2^-30.84 in float, 2^-62.25 in double.
template <class T>
MASKGRAD_TABLE Polynomial<T, 1> kGeluTerms{};
template <>
MASKGRAD_TABLE Polynomial<float, 6> kGeluTerms<float>{
    {0x1.988454p-2f, -0x1.105826p-4f, 0x1.46cc48p-7f, -0x1.36d95ep-10f, 0x1.d9cc18p-14f,
     -0x1.f50e98p-18f},
    -0x1.e4684ep-27f};
template <>
MASKGRAD_TABLE Polynomial<double, 11> kGeluTerms<double>{
    {0x1.9884533d43651p-2, -0x1.1058377e2ced7p-4, 0x1.46d0429768adbp-7, -0x1.37403f6b79ebbp-10,
     0x1.e42b0d42b0e97p-14, -0x1.3ce8f8e2bd91ep-17, 0x1.6589d62a7e09cp-21, -0x1.621a95bd43ec6p-25,
     0x1.37ef946381bccp-29, -0x1.e5197475dea3p-34, 0x1.1a1f7c3e8022ap-38},
    -0x1.e9883d8451009p-56};

/// phi(0) / f(z) - z for 1 <= z <= 15, or 39 in double, with f(z) = Phi(-z) e^(z^2 / 2). The error
/// is that of f(z). Relative error 2^-28.07 in float, 2^-57.38 in double.
template <class T>
MASKGRAD_TABLE Ratio<T, 1> kGeluRatio{};
template <>
MASKGRAD_TABLE Ratio<float, 4> kGeluRatio<float>{
    {0x1.718d4ap+5f, 0x1.a740aap+4f, 0x1.dd45f2p+2f, 0x1.ffe98ap-1f},
    {0x1.cf39acp+5f, 0x1.dbeb14p+5f, 0x1.c9a37ap+4f, 0x1.dcc666p+2f, 0x1p+0f}};
template <>
MASKGRAD_TABLE Ratio<double, 9> kGeluRatio<double>{
    {0x1.e141de598ee59p+16, 0x1.23c7ec5b6f43bp+17, 0x1.66e419fe33b7bp+16, 0x1.1bbd06046d498p+15,
     0x1.37a5f7bd724ap+13, 0x1.e52b054ddc83ep+10, 0x1.0630981f327aep+8, 0x1.6bdc108c5c51ap+4,
     0x1.000000004fcffp+0},
    {0x1.2d95525da5d55p+17, 0x1.f70b0b4b2c56dp+17, 0x1.9cccd18e62b1bp+17, 0x1.aed18469e6b2ep+16,
     0x1.38feead98d0fap+15, 0x1.47d8fd23a1cadp+13, 0x1.f089e6c7200cap+10, 0x1.0830980be474fp+8,
     0x1.6bdc109004c2fp+4, 0x1p+0}};

/// f(z) - 1 for 0 <= z <= 15, or 39 in double, with f(z) = (Phi(-z) / phi(z) - z) / (z0 - z) and z0
/// = kGeluRoot. The error is that of f(z). Relative error 2^-29.43 in float, 2^-58.98 in double.
template <class T>
MASKGRAD_TABLE Ratio<T, 1> kGeluSlopeRatio{};
template <>
MASKGRAD_TABLE Ratio<float, 5> kGeluSlopeRatio<float>{
    {0x1.72db6cp+6f, 0x1.59ee16p+6f, 0x1.230ccp+5f, 0x1.f85192p+2f, 0x1.80eb5ap-1f},
    {0x1.15f5f6p+7f, 0x1.bbc7c2p+7f, 0x1.2dbe68p+7f, 0x1.b9bd3cp+5f, 0x1.61edaap+3f, 0x1p+0f}};
template <>
MASKGRAD_TABLE Ratio<double, 10> kGeluSlopeRatio<double>{
    {0x1.23684d1c67d2cp+18, 0x1.d782a4bc95283p+18, 0x1.713de8cec2663p+18, 0x1.6a1ab0c66db36p+17,
     0x1.e6f1882723c9fp+15, 0x1.d08a226779859p+13, 0x1.3a9796f71c195p+11, 0x1.24a0dbfbfb49bp+8,
     0x1.556bb08d7c9a4p+4, 0x1.80ead197ecf27p-1},
    {0x1.b4d335979daccp+18, 0x1.f2609da4da5a4p+19, 0x1.07beeabaa447ap+20, 0x1.55cc7a70b447dp+19,
     0x1.2d1a1f49cce84p+18, 0x1.79fefe56702a2p+16, 0x1.57bb65e5d5a7fp+14, 0x1.c149c88ec8979p+11,
     0x1.966d4b2754127p+8, 0x1.cf6585b03b746p+4, 0x1p+0}};

}  // namespace maskgrad::ops::math
