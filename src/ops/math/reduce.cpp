#include <algorithm>
#include <array>

#include <maskgrad/ops/cpu/rows/row_kernels.hpp>
#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/rules.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/math/reduce_kernels.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

using Axes = std::vector<std::int64_t>;

using Reduce = Variable(const Variable&, std::span<const std::int64_t>, bool);

const OpDef& register_sum(const char* name, const char* summary, Reduce* function) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads::nothing()}},
      .args = {{"axes", Axes{}}, {"keepdims", false}},
      .mask_rule = MaskRule::kKeeps,
      .call = [=](const OpCall& call) -> std::vector<Variable> {
        return {function(call.input("input"), call.arg<Axes>("axes"), call.arg<bool>("keepdims"))};
      },
      .samples = [](Random& r) -> std::vector<OpSample> {
        std::vector<OpSample> samples;
        for (const Axes& axes : {Axes{}, Axes{0}, Axes{-1}, Axes{1, 3}, Axes{0, 1, 2, 3}}) {
          for (const bool keepdims : {false, true}) {
            samples.push_back({{{"input", sample_uniform(r, {2, 3, 4, 2})}},
                               {{"axes", axes}, {"keepdims", keepdims}}});
          }
        }
        return samples;
      },
  });
}

const OpDef& kSum =
    register_sum("sum", "sum along axes (none given: all)", static_cast<Reduce*>(sum));
const OpDef& kMean =
    register_sum("mean", "mean along axes (none given: all)", static_cast<Reduce*>(mean));

std::vector<OpSample> samples_along_axes(Random& r) {
  std::vector<OpSample> samples;
  for (const std::int64_t axis : {0, 1, -1}) {
    samples.push_back({{{"input", sample_uniform(r, {3, 4, 5})}}, {{"axis", axis}}});
  }
  return samples;
}

const OpDef& kMax = register_op({
    .name = "max",
    .summary = "largest element along one axis",
    .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads::nothing()}},
    .args = {{"axis", std::int64_t{-1}}, {"keepdims", false}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {max(call.input("input"), call.arg<std::int64_t>("axis"), call.arg<bool>("keepdims"))};
    },
    .samples = samples_along_axes,
});

const OpDef& kArgmax = register_op({
    .name = "argmax",
    .summary = "index of the largest element along one axis",
    .inputs = {{.name = "input", .reach = Reach::kEverything, .differentiable = false}},
    .args = {{"axis", std::int64_t{-1}}},
    .mask_rule = MaskRule::kEnds,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {Variable(argmax(call.input("input").value(), call.arg<std::int64_t>("axis")))};
    },
    .samples = samples_along_axes,
});

// Refuses to reduce over the positions of a masked input.
void check_keeps_positions(const OpDef& op, const Variable& x, int axis) {
  check(
      !x.mask().defined() || axis >= 2, op.name.c_str(),
      "would read masked places along axis {} of {}; use a masked form, or drop_mask() on purpose",
      axis, x.shape());
}

// x's shape with 1 along the reduced axes, and the number of elements that go into each result.
struct Reduced {
  Shape keepdims, result;
  std::int64_t count = 1;
};

// Which axes of a shape are meant; none given: all. Throws Error for one out of range.
std::array<bool, Shape::kMaxRank> chosen(const char* name, const Shape& shape,
                                         std::span<const std::int64_t> axes) {
  std::array<bool, Shape::kMaxRank> result{};
  result.fill(axes.empty());
  for (const std::int64_t axis : axes) {
    result[static_cast<std::size_t>(shape.normalize(axis, name))] = true;
  }
  return result;
}

Reduced reduced_shape(const OpDef& op, const Variable& x, std::span<const std::int64_t> axes,
                      bool keepdims) {
  check_defined(op, {&x});
  const auto is_chosen = chosen(op.name.c_str(), x.shape(), axes);
  Reduced reduced{x.shape(), x.shape(), 1};
  std::array<std::int64_t, Shape::kMaxRank> others{};
  std::size_t count = 0;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (!is_chosen[static_cast<std::size_t>(axis)]) {
      others[count++] = x.shape()[axis];
      continue;
    }
    check_keeps_positions(op, x, axis);
    reduced.keepdims = reduced.keepdims.with_dim(axis, 1);
    reduced.count *= x.shape()[axis];
  }
  reduced.result =
      keepdims ? reduced.keepdims : Shape(std::span<const std::int64_t>(others.data(), count));
  return reduced;
}

// Along an axis that is 1 in `keepdims`, the result's shape with all its axes, a place of the
// result depends on every element.
Tensor reached(const Tensor& marked, const Shape& keepdims, const Way& way) {
  std::array<int, Shape::kMaxRank> ties{};
  for (int axis = 0; axis < keepdims.rank(); ++axis) {
    ties[static_cast<std::size_t>(axis)] = keepdims[axis] == 1 ? kAlong : axis;
  }
  const Way all_axes = {way.input, keepdims, way.back};
  return spread(ties, marked.reshape(all_axes.from()), all_axes).reshape(way.to());
}

Tensor scaled(const OpDef& op, const Tensor& x, double factor) {
  if (factor == 1.0) return x;
  return map_elements(op.name.c_str(), functors::Scale{functors::Factor(factor)}, x);
}

// factor * (sum along axes);  dx = factor * g, repeated along them
Variable scaled_sum(const OpDef& op, const Variable& x, const Reduced& to, double factor,
                    AlsoGiven given) {
  const Tensor sums = sum_to(op.name.c_str(), x.value(), to.keepdims).reshape(to.result);
  const auto rule = [&op, factor, to, shape = x.shape()](const Tensor& g, Gradients& grads) {
    grads.set(0, expand(scaled(op, g, factor).reshape(to.keepdims), shape));
  };
  const auto reach = [to](std::size_t, const Tensor& marked, const Way& way) {
    return reached(marked, to.keepdims, way);
  };
  return record(op, {&x}, scaled(op, sums, factor), with_reach(rule, reach), given);
}

}  // namespace

Variable sum(const Variable& x, std::span<const std::int64_t> axes, bool keepdims) {
  return scaled_sum(kSum, x, reduced_shape(kSum, x, axes, keepdims), 1.0,
                    {{"axes", axes}, {"keepdims", keepdims}});
}

Variable mean(const Variable& x, std::span<const std::int64_t> axes, bool keepdims) {
  const Reduced to = reduced_shape(kMean, x, axes, keepdims);
  check(to.count > 0, "mean", "there is nothing to average in {}", x.shape());
  return scaled_sum(kMean, x, to, 1.0 / static_cast<double>(to.count),
                    {{"axes", axes}, {"keepdims", keepdims}});
}

Variable sum(const Variable& x, std::initializer_list<std::int64_t> axes, bool keepdims) {
  return sum(x, std::span(axes.begin(), axes.size()), keepdims);
}

Variable mean(const Variable& x, std::initializer_list<std::int64_t> axes, bool keepdims) {
  return mean(x, std::span(axes.begin(), axes.size()), keepdims);
}

namespace {

Around checked_around(const char* name, const Shape& shape, int axis) {
  const Around d = around(shape, axis);
  check(d.along > 0, name, "there is no element along axis {} of {}", axis, shape);
  return d;
}

// An index for each line along the axis.
Tensor empty_index(const Tensor& x, int axis) {
  const Shape before = x.shape().slice(0, axis), after = x.shape().slice(axis + 1, x.rank());
  return Tensor::empty(before.concat(after), DType::kInt64, x.device());
}

// Where along its line the largest element stands.
template <class T>
void find_largest(const T* x, const Around& d, std::int64_t* best) {
  parallel_for(d.lines(), least_for(d.along, 4), [&](std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) best[i] = argmax_row(x + d.place(i, 0), d.along, d.inner);
  });
}

}  // namespace

Tensor argmax(const Tensor& x, std::int64_t axis_given) {
  check_defined(kArgmax, "input", x);
  const int axis = x.shape().normalize(axis_given, "argmax");
  const Around d = checked_around("argmax", x.shape(), axis);
  Tensor best = empty_index(x, axis);
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "argmax",
                   [&]<class T>(T) { find_largest(x.data<T>(), d, best.data<std::int64_t>()); });
  };
  dispatch_device(x.device(), kArgmaxCuda, on_cpu, x, d, best);
  return best.to(Device{});
}

// y = x[argmax];  dx = g there, 0 elsewhere
Variable max(const Variable& x, std::int64_t axis_given, bool keepdims) {
  check_defined(kMax, {&x});
  const int axis = x.shape().normalize(axis_given, "max");
  check_keeps_positions(kMax, x, axis);
  const Around d = checked_around("max", x.shape(), axis);
  Tensor best = empty_index(x.value(), axis);
  Tensor y =
      Tensor::empty(keepdims ? x.shape().with_dim(axis, 1) : best.shape(), x.dtype(), x.device());
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "max", [&]<class T>(T) {
      const T* const in = x.value().data<T>();
      auto* const index = best.data<std::int64_t>();
      find_largest(in, d, index);
      for (std::int64_t i = 0; i < y.numel(); ++i) y.data<T>()[i] = in[d.place(i, index[i])];
    });
  };
  dispatch_device(x.device(), kMaxCuda, on_cpu, x.value(), d, best, y);
  const auto rule = [d, best = std::as_const(best)](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const auto back_on_cpu = [&] {
      dx.fill(0.0);
      dispatch_dtype(FloatingTypes{}, g.dtype(), "max", [&]<class T>(T) {
        const auto* index = best.data<std::int64_t>();
        for (std::int64_t i = 0; i < g.numel(); ++i) {
          dx.data<T>()[d.place(i, index[i])] = g.data<T>()[i];
        }
      });
    };
    dispatch_device(g.device(), kMaxGradientCuda, back_on_cpu, g, d, best, dx);
  };
  const Shape reduced = x.shape().with_dim(axis, 1);
  return record(
      kMax, {&x}, std::move(y),
      with_reach(rule, [reduced](std::size_t, const Tensor& marked,
                                 const Way& way) { return reached(marked, reduced, way); }),
      {{"axis", axis}, {"keepdims", keepdims}});
}

}  // namespace maskgrad::ops
