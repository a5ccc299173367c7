#include <algorithm>

#include <maskgrad/ops/shape/around.hpp>
#include <maskgrad/ops/shape/axis_part.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

namespace maskgrad::ops {
namespace {

// Calls f(first element in the whole, first element in the part, how many) for neighbours.
template <class F>
void for_each_piece(const AxisPart& part, const Shape& shape, F f) {
  const Around d = around(shape, part.axis);
  if (part.count == 0) return;
  const bool are_neighbours = part.step == 1;
  const std::int64_t pieces = are_neighbours ? 1 : part.count;
  const std::int64_t length = d.inner * (part.count / pieces);
  if (length == 0) return;
  parallel_for(d.outer * pieces, least_for(length), [&](std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) {
      const std::int64_t entry = part.begin + i % pieces * part.step;
      f((i / pieces * d.along + entry) * d.inner, i * length, length);
    }
  });
}

}  // namespace

Tensor take_part(const char* name, const AxisPart& part, const Tensor& x) {
  Tensor y = Tensor::empty(x.shape().with_dim(part.axis, part.count), x.dtype(), x.device());
  Traffic::add_copied(y.nbytes());
  dispatch_device(x.device(), name, [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), name, [&]<class T>(T) {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      for_each_piece(part, x.shape(), [=](std::int64_t whole, std::int64_t own, std::int64_t n) {
        std::copy_n(from + whole, n, to + own);
      });
    });
  });
  return y;
}

void put_part(const char* name, const AxisPart& part, const Tensor& x, Tensor& y) {
  dispatch_device(x.device(), name, [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), name, [&]<class T>(T) {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      for_each_piece(part, y.shape(), [=](std::int64_t whole, std::int64_t own, std::int64_t n) {
        std::copy_n(from + own, n, to + whole);
      });
    });
  });
}

}  // namespace maskgrad::ops
