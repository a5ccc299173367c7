#include <maskgrad/layers/uniform_by_place.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad {

Tensor uniform_by_place(const Variable& x, Pass& pass, std::string_view use) {
  constexpr std::int64_t kLeast = 512;  // positions that are worth a thread
  const Random random = pass.random(use);
  const Tensor places = pass.places(x);
  const std::int64_t* const place = places.data<std::int64_t>();
  const bool* const exists = x.mask().defined() ? x.mask().bits().data<bool>() : nullptr;
  Tensor numbers = Tensor::zeros(places.shape(), DType::kFloat64);
  double* const to = numbers.data<double>();
  parallel_for(numbers.numel(), kLeast, [&](std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) {
      if (exists && !exists[i]) continue;
      Random own = random;
      own.skip_uniforms(static_cast<std::uint64_t>(place[i]));
      to[i] = own.uniform();
    }
  });
  return numbers;
}

}  // namespace maskgrad
