#!/usr/bin/env python3
"""Writes src/ops/functors/polynomials.hpp: the polynomials behind exp and the activations.

    polynomials.py > ../../src/ops/functors/polynomials.hpp
    clang-format -i ../../src/ops/functors/polynomials.hpp

Each is fitted by least squares to the relative error of the function that it is for. The
coefficients are rounded one after the other, lowest first, and those that follow are fitted again
to what the rounding left. Takes some minutes. Needs mpmath.
"""
import textwrap

import mpmath as mp

mp.mp.dps = 60

BITS = {"float": 24, "double": 53}
LN2 = mp.log(2)
DENSITY = 1 / mp.sqrt(2 * mp.pi)  # of the normal distribution, at 0


def tail_over_density(z):
    """Phi(-z) e^(z^2 / 2), Phi the normal distribution function."""
    return mp.erfc(z / mp.sqrt(2)) / 2 * mp.exp(z * z / 2)


GELU_ROOT = mp.findroot(lambda z: tail_over_density(z) - z * DENSITY, 0.75)
SILU_ROOT = mp.findroot(lambda z: 1 + mp.exp(-z) - z, 1.28)

LINEAR = 2 * mp.sqrt(2 / mp.pi)  # gelu_tanh(x) = x sigmoid(LINEAR x + CUBIC x^3)
CUBIC = LINEAR * mp.mpf("0.044715")


def gelu_tanh_slope(z):
    """The slope of gelu_tanh at -z, times 1 + e^u."""
    cubic = CUBIC * z**3
    u = LINEAR * z + cubic
    return 1 - (u + 2 * cubic) / (1 + mp.exp(-u))


GELU_TANH_ROOT = mp.findroot(gelu_tanh_slope, 0.75)


def exp_terms(r):
    return (mp.exp(r) - 1 - r) / r**2 if r else mp.mpf(1) / 2


def log_terms(x):
    s = mp.sqrt(max(x, mp.mpf(10)**-12))  # near 0 the limit, to all digits that count
    return 2 * (mp.atanh(s) - s) / s**3


def log1p_terms(t):
    return mp.log1p(t) / t if t else mp.mpf(1)


def tanh_terms(x):
    z = mp.sqrt(x)
    return (mp.tanh(z) - z) / z**3 if x else -mp.mpf(1) / 3


def silu_slope(x):
    z = SILU_ROOT - x
    return 1 - z / (1 + mp.exp(-z))


def silu_slope_terms(x):
    if abs(x) < mp.mpf(10) ** -15:
        x = mp.mpf(10) ** -15  # the limit, to all digits that count
    return (silu_slope(x) - x) / x**2


def gelu_tanh_slope_terms(x):
    if abs(x) < mp.mpf(10) ** -20:
        x = mp.mpf(10) ** -20  # the limit, to all digits that count
    return gelu_tanh_slope(GELU_TANH_ROOT - x) / x


def normal_tail(z):
    return mp.erfc(z / mp.sqrt(2)) / 2


def gelu_terms(x):
    z = mp.sqrt(x)
    return (mp.mpf(1) / 2 - normal_tail(z)) / z if x else DENSITY


def gelu_ratio(z):
    return DENSITY / tail_over_density(z) - z


def gelu_slope_ratio(z):
    if abs(z - GELU_ROOT) < mp.mpf(10) ** -20:
        z = GELU_ROOT + mp.mpf(10) ** -20  # the limit, to all digits that count
    return (tail_over_density(z) - z * DENSITY) / (GELU_ROOT - z) / DENSITY - 1


def rounded(x, bits):
    with mp.workprec(bits):
        return +x


class Fit:
    """The polynomial of `degree` whose weighted squared error at Chebyshev's points is least.

    On those points that is within a factor of two or so of the least maximum.
    """

    def __init__(self, function, weight, low, high, degree):
        self.degree = degree
        count = 12 * (degree + 1)
        middle, half = (low + high) / 2, (high - low) / 2
        points = [middle + half * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]
        weights = [weight(x) for x in points]
        self.values = [w * function(x) for x, w in zip(points, weights)]
        self.columns = [[w * x**k for x, w in zip(points, weights)] for k in range(degree + 1)]
        self.products = mp.matrix([[mp.fdot(a, b) for b in self.columns] for a in self.columns])

    def errors(self, terms):
        return [mp.fdot(terms, column) - y for *column, y in zip(*self.columns, self.values)]

    def next_term(self, terms):
        """The best coefficient to follow these."""
        n = len(terms)
        lacking = [-e for e in self.errors(terms + [0] * (self.degree + 1 - n))]
        return mp.lu_solve(self.products[n:, n:],
                           mp.matrix([mp.fdot(c, lacking) for c in self.columns[n:]]))[0]

    def rounded_terms(self, bits, keeps_rest):
        """Coefficients of so many bits, what rounding took from the first if that is kept, and the
        largest error."""
        exact = self.next_term([])
        first = rounded(exact, bits)
        rest = rounded(exact - first, bits) if keeps_rest else mp.mpf(0)
        terms = [first + rest]
        for _ in range(self.degree):
            terms = terms + [rounded(self.next_term(terms), bits)]
        return [first] + terms[1:], rest, max(abs(e) for e in self.errors(terms))


class RatioFit:
    """Two polynomials whose ratio has the least weighted squared error, the lower one monic.

    The error is made linear in the coefficients by multiplying it with the lower polynomial, which
    is divided out again as the round before found it. The points are Chebyshev's for
    (z - centre) / (z + centre), first <= z <= last.
    """

    def __init__(self, function, weight, first, last, degree, centre):
        self.degree = degree  # of the lower; the upper has one less
        count = 20 * (degree + 1)
        low, high = ((z - centre) / (z + centre) for z in (first, last))
        xs = [(high + low) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * count))
              for i in range(count)]
        points = [centre * (1 + x) / (1 - x) for x in xs]
        self.values = [function(z) for z in points]
        self.weights = [weight(z) for z in points]
        self.powers = [[z**k for z in points] for k in range(degree + 1)]
        self.lower = [mp.mpf(1)] * count

    def columns(self):
        """What each coefficient adds to the errors, the upper ones first."""
        scales = [w / d for w, d in zip(self.weights, self.lower)]
        upper = [[s * p for s, p in zip(scales, power)] for power in self.powers[:-1]]
        lower = [[-s * p * f for s, p, f in zip(scales, power, self.values)]
                 for power in self.powers]
        return upper + lower

    def solve(self, fixed):
        """All coefficients, those in `fixed` (by index) given."""
        columns = self.columns()
        free = [i for i in range(len(columns)) if i not in fixed]
        lacking = [-mp.fdot(list(fixed.values()), values)
                   for values in zip(*(columns[i] for i in fixed))]
        terms = dict(fixed)
        if free:
            products = [[mp.fdot(columns[i], columns[k]) for k in free] for i in free]
            right = [mp.fdot(columns[i], lacking) for i in free]
            terms.update(zip(free, mp.lu_solve(mp.matrix(products), mp.matrix(right))))
        lower = [terms[self.degree + k] for k in range(self.degree + 1)]
        self.lower = [mp.fdot(lower, values) for values in zip(*self.powers)]
        return terms

    def rounded_terms(self, bits):
        """The upper and the lower coefficients, each of so many bits, and the largest error."""
        n = self.degree
        fixed = {2 * n: mp.mpf(1)}
        for _ in range(8):
            terms = self.solve(fixed)
        for k in range(n):
            for i in (k, n + k):
                fixed[i] = rounded(terms[i], bits)
                terms = self.solve(fixed)
        errors = [mp.fdot([terms[i] for i in range(2 * n + 1)], values)
                  for values in zip(*self.columns())]
        upper, lower = [terms[i] for i in range(n)], [terms[n + i] for i in range(n + 1)]
        return upper, lower, max(abs(e) for e in errors)


def literal(x, dtype):
    mantissa, exponent = float(x).hex().split("p")
    return mantissa.rstrip("0").rstrip(".") + "p" + exponent + ("f" if dtype == "float" else "")


def comment(text):
    print()
    for line in textwrap.wrap(text, 96):
        print("///", line)


def polynomial(name, text, function, weight, low, high, degrees, keeps_rest=False):
    lines, errors = [], []
    for dtype, bits in BITS.items():
        fit = Fit(function, weight, mp.mpf(low), mp.mpf(high), degrees[dtype])
        terms, rest, error = fit.rounded_terms(bits, keeps_rest)
        errors.append(f"2^{mp.nstr(mp.log(error, 2), 4)} in {dtype}")
        kind = f"Polynomial<{dtype}, {len(terms)}>"
        lines += ["template <>", f"MASKGRAD_TABLE {kind} {name}<{dtype}>{{"]
        lines += ["    {" + ",\n     ".join(literal(term, dtype) for term in terms) + "},"]
        lines += [f"    {literal(rest, dtype)}}};"]
    comment(f"{text} Relative error {', '.join(errors)}.")
    print(f"template <class T>\nMASKGRAD_TABLE Polynomial<T, 1> {name}{{}};")
    print("\n".join(lines))


def ratio(name, text, function, weight, first, degrees):
    """The centre of the points is that which rounding the coefficients harms least."""
    lines, errors = [], []
    for dtype, last in (("float", 15), ("double", 39)):
        degree = degrees[dtype]
        fits = (RatioFit(function, weight, mp.mpf(first), mp.mpf(last), degree, mp.mpf(c) / 4)
                .rounded_terms(BITS[dtype]) for c in range(4, 21))
        upper, lower, error = min(fits, key=lambda fit: fit[2])
        errors.append(f"2^{mp.nstr(mp.log(error, 2), 4)} in {dtype}")
        lines += ["template <>", f"MASKGRAD_TABLE Ratio<{dtype}, {degree}> {name}<{dtype}>{{"]
        lines += ["    {" + ",\n     ".join(literal(term, dtype) for term in upper) + "},"]
        lines += ["    {" + ",\n     ".join(literal(term, dtype) for term in lower) + "}};"]
    comment(f"{text} Relative error {', '.join(errors)}.")
    print(f"template <class T>\nMASKGRAD_TABLE Ratio<T, 1> {name}{{}};")
    print("\n".join(lines))


def split(name, text, value, high_bits=BITS):
    """A constant as the sum of two, the first of so many bits."""
    comment(text)
    print(f"template <class T>\nMASKGRAD_TABLE Split<T> {name}{{}};")
    for dtype, bits in BITS.items():
        high = rounded(value, high_bits[dtype])
        low = rounded(value - high, bits)
        print(f"template <>\nMASKGRAD_TABLE Split<{dtype}> {name}<{dtype}>{{"
              f"{literal(high, dtype)}, {literal(low, dtype)}}};")


HEAD = """\
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
};"""


def main():
    print(HEAD)

    split("kLog2", "log 2. `high` is so short that n times it is exact for every exponent n.",
          LN2, {"float": 15, "double": 41})
    split("kSiluRoot", "z0 = 1.278..., the root of 1 + e^-z - z: the slope of silu is 0 at -z0.",
          SILU_ROOT)
    split("kDensity",
          "phi(0) = 1 / sqrt(2 pi), phi being the density of the normal distribution.", DENSITY)
    split("kGeluFactor", "phi(0) / (1 + 7 / 32).", DENSITY * 32 / 39)
    split("kGeluRoot",
          "z0 = 0.751..., the root of Phi(-z) - z phi(z): the slope of gelu is 0 at -z0. Phi is "
          "the normal distribution function, phi its density.", GELU_ROOT)
    split("kGeluTanhLinear", "2 sqrt(2 / pi).", LINEAR)
    split("kGeluTanhCubic", "2 sqrt(2 / pi) 0.044715.", CUBIC)
    split("kGeluTanhRoot",
          "z0 = 0.752..., the root of 1 - z u'(z) sigmoid(u(z)) with u(z) = 2 sqrt(2 / pi) "
          "(z + 0.044715 z^3): the slope of gelu_tanh is 0 at -z0.", GELU_TANH_ROOT)

    margin = 1 + mp.mpf(2)**-10
    polynomial("kExpTerms",
               "(e^x - 1 - x) / x^2 for |x| <= log(2) / 2. The error is that of e^x.",
               exp_terms, lambda x: x**2 / mp.exp(x),
               -LN2 / 2 * margin, LN2 / 2 * margin, {"float": 4, "double": 9})
    polynomial("kLogTerms",
               "(log((1 + s) / (1 - s)) - 2 s) / s^3 for |s| <= 3 - sqrt 8, in x = s^2. The error "
               "is that of log((1 + s) / (1 - s)).",
               log_terms, lambda x: x * mp.sqrt(x) / (2 * mp.atanh(mp.sqrt(x))),
               0, (3 - mp.sqrt(8))**2 * margin, {"float": 2, "double": 6})
    polynomial("kTanhTerms",
               "(tanh z - z) / z^3 for 0 <= z <= 0.55, in x = z^2. The error is that of tanh z.",
               tanh_terms, lambda x: x * mp.sqrt(x) / mp.tanh(mp.sqrt(x)) if x else x,
               0, mp.mpf(0.55)**2, {"float": 4, "double": 10})
    polynomial("kLog1pTerms", "log(1 + x) / x for 0 <= x <= 1.",
               log1p_terms, lambda x: 1 / log1p_terms(x),
               0, 1, {"float": 9, "double": 21}, keeps_rest=True)
    polynomial("kSiluSlopeTerms",
               "(1 - z sigmoid(z) - x) / x^2 for |x| <= 0.6, in x = z0 - z, z0 being kSiluRoot. "
               "The error is that of 1 - z sigmoid(z).",
               silu_slope_terms, lambda x: x**2 / silu_slope(x) if x else x,
               -0.6, 0.6, {"float": 6, "double": 15})
    polynomial("kGeluTanhSlopeTerms",
               "(1 - z u'(z) sigmoid(u(z))) / x for |x| <= 0.45, in x = z0 - z, z0 and u being those "
               "of kGeluTanhRoot.",
               gelu_tanh_slope_terms, lambda x: 1 / gelu_tanh_slope_terms(x),
               -0.45, 0.45, {"float": 7, "double": 15}, keeps_rest=True)
    polynomial("kGeluTerms",
               "(1/2 - Phi(-z)) / z for 0 <= z <= 1, in x = z^2. The error is that of Phi(-z).",
               gelu_terms, lambda x: mp.sqrt(x) / normal_tail(mp.sqrt(x)),
               0, 1, {"float": 5, "double": 10}, keeps_rest=True)
    ratio("kGeluRatio",
          "phi(0) / f(z) - z for 1 <= z <= 15, or 39 in double, with f(z) = Phi(-z) e^(z^2 / 2). "
          "The error is that of f(z).",
          gelu_ratio, lambda z: 1 / (z + gelu_ratio(z)), 1, {"float": 4, "double": 9})
    ratio("kGeluSlopeRatio",
          "f(z) - 1 for 0 <= z <= 15, or 39 in double, with f(z) = (Phi(-z) / phi(z) - z) / "
          "(z0 - z) and z0 = kGeluRoot. The error is that of f(z).",
          gelu_slope_ratio, lambda z: 1 / (1 + gelu_slope_ratio(z)), 0,
          {"float": 5, "double": 10})
    print("\n}  // namespace maskgrad::ops::math")


if __name__ == "__main__":
    main()
