#!/usr/bin/env python3
"""Writes tests/data/activations.txt: functions and their slopes in 50 digits.

    activations.py > ../data/activations.txt

A line "function dtype" comes before its points, each of which is a line "x f(x) f'(x)". x is an
element of that dtype. The others are exact but for their last digit: whole numbers of up to 64 bits
times powers of two, in hexadecimal, as in -b504f333p-31, or inf where they overflow the dtype.
Needs mpmath.
"""
import math
import random
import struct

import mpmath as mp

mp.mp.dps = 70  # 50 where the slopes of gelu and its like cancel near their roots

ALPHA = mp.mpf(1.6732632423543772)  # as a double
LN2 = mp.log(2)


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def within(x):
    """x, as far as mpmath's erfc() goes. The normal distribution is 0 or 1 long before."""
    return min(max(x, mp.mpf(-10**6)), mp.mpf(10**6))


def normal(x):
    return mp.erfc(-within(x) / mp.sqrt(2)) / 2


def times_density(x):
    x = within(x)
    return x * mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def sigmoid_slope(x):
    return sigmoid(-abs(x)) * (1 - sigmoid(-abs(x)))


def tanh_argument(x, power=1):
    """2 sqrt(2 / pi) (x + 0.044715 x^3) for power 1; x times its derivative for power 3."""
    x = within(x)
    return 2 * mp.sqrt(2 / mp.pi) * (x + power * mp.mpf("0.044715") * x**3)


def gelu_tanh_slope(x):
    u = tanh_argument(x)
    return sigmoid(u) * (1 + tanh_argument(x, 3) * sigmoid(-u))


# name: (function, slope, whether they are for x < 0 too). Slopes at 0 are those from the left where
# the two sides differ.
FUNCTIONS = {
    "sigmoid": (sigmoid, sigmoid_slope, True),
    "tanh": (mp.tanh, lambda x: 4 * sigmoid_slope(2 * x), True),
    "softplus": (lambda x: mp.log1p(mp.exp(-abs(x))) + max(x, mp.mpf(0)), sigmoid, True),
    "leaky_relu": (lambda x: x if x > 0 else mp.mpf(0.01) * x,
                   lambda x: mp.mpf(1 if x > 0 else 0.01), True),
    "elu": (lambda x: x if x > 0 else mp.expm1(x),
            lambda x: mp.mpf(1) if x > 0 else mp.exp(x), True),
    "selu": (lambda x: x if x > 0 else ALPHA * mp.expm1(x),
             lambda x: mp.mpf(1) if x > 0 else ALPHA * mp.exp(x), True),
    "gelu": (lambda x: x * normal(x), lambda x: normal(x) + times_density(x), True),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), True),
    "exp": (mp.exp, mp.exp, True),
    "log": (mp.log, lambda x: 1 / x, False),
    "sqrt": (mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), False),
    "square": (lambda x: x * x, lambda x: 2 * x, True),
    "scale": (lambda x: mp.mpf(0.1) * x, lambda x: mp.mpf(0.1), True),
    "gelu_tanh": (lambda x: x * sigmoid(tanh_argument(x)), gelu_tanh_slope, True),
}

ROOTS = {"gelu": -mp.findroot(lambda z: normal(-z) - times_density(z), 0.75),
         "silu": -mp.findroot(lambda z: 1 + mp.exp(-z) - z, 1.28),
         "log": mp.mpf(1),
         "gelu_tanh": mp.findroot(gelu_tanh_slope, -0.75)}

# Where functions change their rule, saturate, overflow, or become denormal or 0.
EDGES = {
    "sigmoid": [0, 40, 16.64, 87.34, 103.97, 104.3, 708.4, 745.13, 745.2],
    "tanh": [0, 0.55, 8.32, 9.01, 18.7, 19.06, 20, 44, 52, 354.5, 372.6],
    "softplus": [0, 16.64, 36.7, 87.34, 103.97, 708.4, 745.13],
    "leaky_relu": [0],
    "elu": [0, LN2 / 2, 17.33, 37.43, 40, 87.34, 103.97, 708.4, 745.13],
    "selu": [0, LN2 / 2, 17.33, 37.43, 40, 87.34, 103.97, 708.4, 745.13],
    "gelu": [0, 0.5, 1, 5.42, 8.3, 12.9, 13.0, 14.2, 14.42, 14.9, 37.5, 37.7, 38.5, 38.6, 38.9],
    "silu": [0, 0.678, 1.878, 16.64, 36.7, 91.9, 92.4, 108.67, 110, 713, 715, 751.7, 752],
    "exp": [0, 87.34, 88.37, 88.72, 103.97, 112, 708.4, 709.78, 745.13, 760],
    "log": [0.5**0.5, 2**0.5, 2, 4],
    "sqrt": [1, 2, 4],
    "square": [1, 2.0**64, 2.0**-63, 2.0**-75, 2.0**512, 2.0**-511],
    "scale": [0, 1, 10],
    "gelu_tanh": [0, 0.302, 1.202, 4.9, 5.2, 7.2, 7.6, 9.9, 10.0, 10.6, 10.7, 11, 21.0, 21.1, 21.4,
                  21.5, 21.6, 22],
}


class Format:
    def __init__(self, name, code, digits, least, most):
        self.name, self.code, self.digits = name, code, digits
        self.least, self.most = least, most  # exponents of the least denormal and of the largest

    def round(self, x):
        """The nearest element; the largest finite one at most."""
        if self.code == "d":
            return float(x)
        largest = struct.unpack("f", b"\xff\xff\x7f\x7f")[0]
        return struct.unpack("f", struct.pack("f", min(max(float(x), -largest), largest)))[0]

    def next(self, x, steps):
        """The element `steps` above x, in order of size of bits."""
        codes = {"f": "<i", "d": "<q"}
        bits, = struct.unpack(codes[self.code], struct.pack("<" + self.code, x))
        return struct.unpack("<" + self.code, struct.pack(codes[self.code], bits + steps))[0]


FORMATS = [Format("float32", "f", 24, -149, 127), Format("float64", "d", 53, -1074, 1023)]


def points(name, form, rng):
    """The x of one function, sorted."""
    normal_least = form.least + form.digits - 1
    xs = [0.0, 2.0**form.least, 3 * 2.0**form.least, 2.0**normal_least,
          2.0**normal_least * (1 - 2.0**(1 - form.digits)), 5.7 * 2.0**(form.least + 9),
          form.round(mp.mpf(2)**form.most * (2 - mp.mpf(2)**(1 - form.digits)))]
    # All exponents, more of them near 0.
    for e in list(range(-2 * form.digits, 12, 4)) + [rng.randint(form.least, form.most)
                                                      for _ in range(24)]:
        xs.append(math.ldexp(rng.uniform(1, 2), e))
    xs += [rng.uniform(0, 1.5) for _ in range(16)] + [rng.uniform(0, 6) for _ in range(24)]
    end = 1.05 * max(float(e) for e in EDGES[name] if name not in ("square",) or e < 9) or 4
    xs += [rng.uniform(0, end) for _ in range(24)]
    xs = [form.round(x) for x in xs]
    xs += [-x for x in xs]
    for edge in EDGES[name]:
        if edge and abs(mp.log(edge, 2)) < form.most:
            near = form.round(edge)
            xs += [s * form.next(near, k) for s in (1, -1) for k in (-1, 0, 1)]
    if name in ROOTS:
        near = form.round(ROOTS[name])
        xs += [form.next(near, k) for k in (-2, -1, 0, 1, 2)]
        xs += [form.round(near + s * math.ldexp(rng.uniform(1, 2), -k))
               for s in (1, -1) for k in range(1, form.digits, 5)]
    xs = sorted({form.round(x) for x in xs})
    return xs if FUNCTIONS[name][2] else [x for x in xs if x > 0]


def short(x):
    mantissa, exponent = x.hex().split("p")
    return mantissa.rstrip("0").rstrip(".") + "p" + exponent


def exact(y, form):
    """y as a whole number times a power of two; 0 or -0 where it is far below what form holds."""
    sign = "-" if y < 0 else ""
    if abs(y) >= mp.mpf(2)**(form.most + 1) * (1 - mp.mpf(2)**-(form.digits + 1)):
        return sign + "inf"
    if abs(y) < mp.mpf(2)**(form.least - 64):
        return sign + "0p0"
    bits = 44 if form.code == "f" else 64
    exponent = int(mp.floor(mp.log(abs(y), 2))) + 1 - bits
    whole = int(mp.nint(abs(y) / mp.mpf(2)**exponent))
    while whole % 16 == 0:
        whole, exponent = whole // 16, exponent + 4
    return f"{sign}{whole:x}p{exponent}"


def main():
    rng = random.Random(1)
    for name, (function, slope, _) in FUNCTIONS.items():
        for form in FORMATS:
            print(name, form.name)
            for x in points(name, form, rng):
                y, dy = function(mp.mpf(x)), slope(mp.mpf(x))
                print(short(x), exact(y, form), exact(dy, form))


if __name__ == "__main__":
    main()
