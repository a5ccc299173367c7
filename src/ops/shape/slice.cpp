#include <fmt/format.h>

#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kSlice = register_op({
    .name = "slice",
    .summary = "entries begin, begin + step, ... before end along an axis",
    .inputs = {{.name = "input",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny}},
    .args = {{"axis", std::int64_t{0}},
             {"begin", std::int64_t{0}},
             {"end", kToEnd},
             {"step", std::int64_t{1}}},
    .mask_rule = MaskRule::kChanges,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {slice(call.input("input"), call.arg<std::int64_t>("axis"),
                    call.arg<std::int64_t>("begin"), call.arg<std::int64_t>("end"),
                    call.arg<std::int64_t>("step"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const std::int64_t axis : {0, 1, -1}) {
        samples.push_back({{{"input", sample_uniform(r, {3, 4, 5})}},
                           {{"axis", axis}, {"begin", std::int64_t{1}}}});
        samples.push_back({{{"input", sample_uniform(r, {3, 4, 5})}},
                           {{"axis", axis}, {"end", std::int64_t{-1}}, {"step", std::int64_t{2}}}});
      }
      samples.push_back({{{"input", sample_uniform(r, {2, 3})}},
                         {{"begin", std::int64_t{1}}, {"end", std::int64_t{1}}}});
      return samples;
    },
});

// Entries of a dimension of `size`, and the dimension in memory: [outer, size, inner].
struct Part {
  int axis;
  std::int64_t size, begin, count, step;

  std::int64_t outer(const Shape& shape) const { return shape.slice(0, axis).numel(); }
  std::int64_t inner(const Shape& shape) const {
    return shape.slice(axis + 1, shape.rank()).numel();
  }
};

Part part_of(const Shape& shape, std::int64_t axis_given, std::int64_t begin_given,
             std::int64_t end_given, std::int64_t step) {
  const int axis = shape.normalize(axis_given);
  const std::int64_t size = shape[axis];
  const std::int64_t begin = begin_given < 0 ? begin_given + size : begin_given;
  const std::int64_t end = end_given == kToEnd ? size
                           : end_given < 0     ? end_given + size
                                               : end_given;
  check(step >= 1, "slice", "the step must be at least 1, got {}", step);
  check(begin >= 0 && begin <= end && end <= size, "slice",
        "{}:{} is no part of axis {} of {}: 0 <= begin <= end <= {} must hold", begin_given,
        end_given == kToEnd ? std::string("end") : std::to_string(end_given), axis, shape, size);
  return {axis, size, begin, (end - begin) / step + ((end - begin) % step != 0), step};
}

// Calls f(first element in the whole, first element in the part, how many) for neighbours.
template <class F>
void for_each_piece(const Part& part, const Shape& shape, F f) {
  const std::int64_t inner = part.inner(shape);
  if (part.count == 0) return;
  const bool is_whole = part.step == 1;
  const std::int64_t pieces = is_whole ? 1 : part.count, length = inner * (part.count / pieces);
  if (length == 0) return;
  parallel_for(part.outer(shape) * pieces, least_for(length),
               [&](std::int64_t i, std::int64_t end) {
                 for (; i < end; ++i) {
                   const std::int64_t entry = part.begin + i % pieces * part.step;
                   f((i / pieces * part.size + entry) * inner, i * length, length);
                 }
               });
}

Tensor take(const Part& part, const Tensor& x) {
  Tensor y = Tensor::empty(x.shape().with_dim(part.axis, part.count), x.dtype(), x.device());
  Traffic::add_copied(y.nbytes());
  dispatch_device(x.device(), "slice", [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), "slice", [&]<class T>(T) {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      for_each_piece(part, x.shape(), [=](std::int64_t whole, std::int64_t own, std::int64_t n) {
        std::copy_n(from + whole, n, to + own);
      });
    });
  });
  return y;
}

// y holds `part` where it was taken, and what it held elsewhere.
void put(const Part& part, const Tensor& x, Tensor& y) {
  dispatch_device(x.device(), "slice", [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), "slice", [&]<class T>(T) {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      for_each_piece(part, y.shape(), [=](std::int64_t whole, std::int64_t own, std::int64_t n) {
        std::copy_n(from + own, n, to + whole);
      });
    });
  });
}

SequenceMask mask_of(const Part& part, const SequenceMask& mask) {
  if (!mask.defined() || part.axis >= 2) return mask;
  return SequenceMask(take(part, mask.bits()));
}

}  // namespace

// dx = g where it was taken, 0 elsewhere
Variable slice(const Variable& x, std::int64_t axis, std::int64_t begin, std::int64_t end,
               std::int64_t step) {
  check_defined(kSlice, {&x});
  const Part part = part_of(x.shape(), axis, begin, end, step);
  const auto rule = [part](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    dx.fill(0.0);
    put(part, g, dx);
  };
  const auto reach = [part](std::size_t, const Tensor& marked, const Way& way) {
    if (!way.back) return take(part, marked);
    Tensor marks = Tensor::zeros(way.input, DType::kBool);
    put(part, marked, marks);
    return marks;
  };
  return record(kSlice, {&x}, take(part, x.value()), mask_of(part, x.mask()),
                with_reach(rule, reach));
}

std::vector<Variable> split(const Variable& x, std::span<const std::int64_t> sizes,
                            std::int64_t axis_given) {
  check_given(x.defined(), "split", "the input");
  const int axis = x.shape().normalize(axis_given);
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    check(size >= 0 && size <= x.dim(axis) - begin, "split",
          "sizes ({}) do not add up to the {} entries of axis {} of {}", fmt::join(sizes, ", "),
          x.dim(axis), axis, x.shape());
    begin += size;
  }
  check(begin == x.dim(axis), "split",
        "sizes ({}) do not add up to the {} entries of axis {} of {}", fmt::join(sizes, ", "),
        x.dim(axis), axis, x.shape());
  std::vector<Variable> parts;
  begin = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(slice(x, axis, begin, begin + size));
    begin += size;
  }
  return parts;
}

std::vector<Variable> split(const Variable& x, std::initializer_list<std::int64_t> sizes,
                            std::int64_t axis) {
  return split(x, std::span(sizes.begin(), sizes.size()), axis);
}

}  // namespace maskgrad::ops
