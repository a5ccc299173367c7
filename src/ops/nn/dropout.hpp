// Elements left out at random in training.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad::ops {

/// y = x / (1 - p) where the number of an element is at least p, else 0. The numbers are those of
/// dropout(), of which the generator has enough; `state` is the generator's, int64 [5]. `places` is
/// on the device, or null.
inline constinit CudaKernel<void(const Tensor& x, double p, const Tensor& state,
                                 const Tensor* places, Tensor& y)>
    kDropoutCuda{"dropout"};

/// Each element of y is x / (1 - p) with probability 1 - p, else 0. dx = g / (1 - p) at the kept
/// elements, and exactly 0 elsewhere. Srivastava et al. 2014, in the inverted form.
/// Element i takes number i of `random`, so the same (seed, stream, step) drops the same elements
/// on every machine and with any number of threads. The mask of x is kept. Returns x itself for
/// p = 0.
/// Throws Error unless 0 <= p < 1.
Variable dropout(const Variable& x, double p, Random random);

/// The same for x [B, S, ...], where each position says with `places`, int64 [B, S], which numbers
/// are its own: element j of its F elements takes number places[b, s] F + j. So what a position
/// drops depends neither on padding nor on packing where its place does not.
/// Throws Error as above, for places of another dtype or shape, and for a place below 0 or so large
/// that `random` has no such number.
Variable dropout(const Variable& x, double p, Random random, const Tensor& places);

}  // namespace maskgrad::ops
