#include <cmath>

#include <maskgrad/layers/learned_mask/keep_noise.hpp>
#include <maskgrad/layers/uniform_by_place.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad {
namespace {

// A number in the middle of the 2^53 parts that a uniform number may begin.
double logistic_of(double part) {
  constexpr double kHalf = 0x1.0p-54;
  return std::log(part + kHalf) - std::log((1 - part) - kHalf);
}

}  // namespace

Tensor logistic_noise(const Variable& logits, Pass& pass) {
  constexpr std::int64_t kLeast = 512;  // positions that are worth a thread
  const Tensor uniform = uniform_by_place(logits, pass, "keep");
  const double* const part = uniform.data<double>();
  const bool* const exists = logits.mask().defined() ? logits.mask().bits().data<bool>() : nullptr;
  Tensor noise = Tensor::zeros(logits.shape(), logits.dtype());
  dispatch_dtype(FloatingTypes{}, noise.dtype(), "sampler", [&]<class T>(T) {
    T* const to = noise.data<T>();
    parallel_for(noise.numel(), kLeast, [&](std::int64_t i, std::int64_t end) {
      for (; i < end; ++i) {
        if (!exists || exists[i]) to[i] = static_cast<T>(logistic_of(part[i]));
      }
    });
  });
  return noise.to(logits.device());
}

}  // namespace maskgrad
