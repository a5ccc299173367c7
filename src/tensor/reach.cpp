#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include <maskgrad/tensor/reach.hpp>

namespace maskgrad {
namespace {

using Ties = std::array<int, Shape::kMaxRank>;

// The axes of an input aligned with those of the output under broadcasting.
Ties aligned(const Shape& input, const Shape& output) {
  Ties ties{};
  for (int a = 0; a < input.rank(); ++a) {
    ties[static_cast<std::size_t>(a)] = a + output.rank() - input.rank();
  }
  return ties;
}

// For each axis of `from`, how far a step along it goes among the elements of `to`, when axis a of
// `from` is axis ties[a] of `to`; 0 where it is none of them, or has one element there.
std::array<std::int64_t, Shape::kMaxRank> steps(const Shape& from, std::span<const int> ties,
                                                const Shape& to) {
  std::array<std::int64_t, Shape::kMaxRank> result{};
  for (int a = 0; a < from.rank(); ++a) {
    const int tied = ties[static_cast<std::size_t>(a)];
    if (tied < 0 || to[tied] == 1) continue;
    result[static_cast<std::size_t>(a)] = to.slice(tied + 1, to.rank()).numel();
  }
  return result;
}

// Calls f(i, j) for each element i of `from`, and the element j of `to` it is tied to.
template <class F>
void for_each_tied(const Shape& from, std::span<const int> ties, const Shape& to, F f) {
  const auto step = steps(from, ties, to);
  for (std::int64_t i = 0; i < from.numel(); ++i) {
    std::int64_t j = 0, rest = i;
    for (int a = from.rank() - 1; a >= 0; --a) {
      j += rest % from[a] * step[static_cast<std::size_t>(a)];
      rest /= from[a];
    }
    f(i, j);
  }
}

template <class F>
Tensor combine(const Tensor& a, const Tensor& b, F f) {
  check(a.shape() == b.shape(), "reach", "marks of {} and {} do not fit", a.shape(), b.shape());
  Tensor result = Tensor::empty(a.shape(), DType::kBool);
  std::transform(a.data<bool>(), a.data<bool>() + a.numel(), b.data<bool>(), result.data<bool>(),
                 f);
  return result;
}

}  // namespace

Tensor spread(std::span<const int> ties, const Tensor& marked, const Shape& output) {
  // First over what is not tied, into a shape of the output's rank; then along the output.
  Shape seen_shape = output;
  for (int o = 0; o < output.rank(); ++o) seen_shape = seen_shape.with_dim(o, 1);
  for (int a = 0; a < marked.rank(); ++a) {
    const int tied = ties[static_cast<std::size_t>(a)];
    if (tied >= 0 && marked.shape()[a] != 1) seen_shape = seen_shape.with_dim(tied, output[tied]);
  }
  Tensor seen = Tensor::zeros(seen_shape, DType::kBool);
  for_each_tied(marked.shape(), ties, seen_shape, [&](std::int64_t i, std::int64_t j) {
    seen.data<bool>()[j] |= marked.data<bool>()[i];
  });
  Tensor result = Tensor::empty(output, DType::kBool);
  for_each_tied(
      output, aligned(output, seen_shape), seen_shape,
      [&](std::int64_t o, std::int64_t j) { result.data<bool>()[o] = seen.data<bool>()[j]; });
  return result;
}

Tensor spread(Reach reach, const Tensor& marked, const Shape& output) {
  Ties ties = aligned(marked.shape(), output);
  switch (reach) {
    case Reach::kLastAxis:
      if (marked.rank() > 0) ties[static_cast<std::size_t>(marked.rank() - 1)] = kAlong;
      [[fallthrough]];
    case Reach::kElement:
      return spread(ties, marked, output);
    case Reach::kSameOrder:
      return marked.reshape(output);
    case Reach::kUnset:
    case Reach::kEverything:
    case Reach::kByCall:
      break;
  }
  return Tensor::full(output, any(marked), DType::kBool);
}

Tensor mark(const Shape& shape, std::int64_t element) {
  check(element >= 0 && element < shape.numel(), "reach", "{} has no element {}", shape, element);
  Tensor marks = Tensor::zeros(shape, DType::kBool);
  marks.data<bool>()[element] = true;
  return marks;
}

Tensor opposite(const Tensor& a) {
  Tensor result = Tensor::empty(a.shape(), DType::kBool);
  std::transform(a.data<bool>(), a.data<bool>() + a.numel(), result.data<bool>(),
                 std::logical_not<bool>());
  return result;
}

Tensor either(const Tensor& a, const Tensor& b) { return combine(a, b, std::logical_or<bool>()); }
Tensor both(const Tensor& a, const Tensor& b) { return combine(a, b, std::logical_and<bool>()); }

bool any(const Tensor& marked) {
  const auto bits = marked.values<bool>();
  return std::find(bits.begin(), bits.end(), true) != bits.end();
}

}  // namespace maskgrad
