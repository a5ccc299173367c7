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

template <Copies kWay>
void copy(const PartKernel& op, const AxisPart& part, const Tensor& from, Tensor& to) {
  constexpr bool kToPart = kWay == Copies::kToPart;
  const auto on_cpu = [&] {
    dispatch_dtype(AllTypes{}, from.dtype(), "part", [&]<class T>(T) {
      const T* source = from.data<T>();
      T* target = to.data<T>();
      for_each_piece(part, (kToPart ? from : to).shape(),
                     [=](std::int64_t in_whole, std::int64_t in_part, std::int64_t n) {
                       std::copy_n(source + (kToPart ? in_whole : in_part), n,
                                   target + (kToPart ? in_part : in_whole));
                     });
    });
  };
  dispatch_device(from.device(), op, on_cpu, kWay, part, from, to);
}

}  // namespace

Tensor take_part(const PartKernel& op, const AxisPart& part, const Tensor& x) {
  Tensor y = Tensor::empty(x.shape().with_dim(part.axis, part.count), x.dtype(), x.device());
  Traffic::add_copied(y.nbytes());
  copy<Copies::kToPart>(op, part, x, y);
  return y;
}

void put_part(const PartKernel& op, const AxisPart& part, const Tensor& x, Tensor& y) {
  copy<Copies::kToWhole>(op, part, x, y);
}

}  // namespace maskgrad::ops
