#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>

namespace maskgrad::ops {
namespace {

using Dims = std::vector<std::int64_t>;
using Axes = PoolVector<std::int64_t>;  // made in each call, so from the pool

const OpDef& kReshape = register_op({
    .name = "reshape",
    .summary = "the same elements under another shape",
    .inputs = {{.name = "input",
                .reach = Reach::kSameOrder,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny}},
    .args = {{"shape", Dims{-1}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {reshape(call.input("input"), call.arg<Dims>("shape"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}}, {{"shape", Dims{2, -1}}}},
              {{{"input", sample_uniform(r, {1, 1})}}, {{"shape", Dims{}}}},
              {{{"input", sample_uniform(r, {0, 3})}}, {{"shape", Dims{3, 0}}}}};
    },
});

const OpDef& kPermute = register_op({
    .name = "permute",
    .summary = "dimensions in another order",
    .inputs = {{.name = "input",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny}},
    .args = {{"axes", Dims{}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {permute(call.input("input"), call.arg<Dims>("axes"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}}, {{"axes", Dims{2, 0, 1}}}},
              {{{"input", sample_uniform(r, {2, 3, 4, 5})}}, {{"axes", Dims{0, 2, 1, 3}}}},
              {{{"input", sample_uniform(r, {3, 2})}}, {{"axes", Dims{1, 0}}}}};
    },
});

const OpDef& kBroadcastTo = register_op({
    .name = "broadcast_to",
    .summary = "the input repeated to a larger shape",
    .inputs = {{.name = "input",
                .reach = Reach::kElement,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny}},
    .args = {{"shape", Dims{}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {broadcast_to(call.input("input"), Shape(call.arg<Dims>("shape")))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {3, 1})}}, {{"shape", Dims{2, 3, 4}}}},
              {{{"input", sample_uniform(r, {})}}, {{"shape", Dims{2}}}}};
    },
});

// For each dimension of the permuted tensor, how far apart its neighbours stand in x.
struct PermutedStrides {
  std::array<std::int64_t, Shape::kMaxRank> size{}, stride{};
};

template <class T>
void copy_permuted(const PermutedStrides& p, int axis, int rank, const T* x, T*& y) {
  if (axis == rank) {
    *y++ = *x;
    return;
  }
  const auto a = static_cast<std::size_t>(axis);
  if (axis == rank - 1) {
    for (std::int64_t i = 0; i < p.size[a]; ++i) *y++ = x[i * p.stride[a]];
    return;
  }
  for (std::int64_t i = 0; i < p.size[a]; ++i)
    copy_permuted(p, axis + 1, rank, x + i * p.stride[a], y);
}

Axes checked_permutation(const Shape& shape, std::span<const std::int64_t> axes) {
  Axes sorted(axes.begin(), axes.end()), identity(axes.size());
  for (std::int64_t& axis : sorted) axis = shape.normalize(axis, "transpose");
  Axes result = sorted;
  std::sort(sorted.begin(), sorted.end());
  std::iota(identity.begin(), identity.end(), 0);
  check(static_cast<int>(axes.size()) == shape.rank() && sorted == identity, "permute",
        "axes ({}) are not a permutation of the dimensions of {}", fmt::join(axes, ", "), shape);
  return result;
}

Axes inverse(const Axes& permutation) {
  Axes back(permutation.size());
  for (std::size_t i = 0; i < permutation.size(); ++i) {
    back[static_cast<std::size_t>(permutation[i])] = static_cast<std::int64_t>(i);
  }
  return back;
}

}  // namespace

// dx = g under x's shape
Variable reshape(const Variable& x, std::span<const std::int64_t> dims) {
  check_defined(kReshape, {&x});
  Tensor y = x.value().reshape(infer_shape("reshape", dims, x.value().numel()));
  return record(
      kReshape, {&x}, std::move(y),
      [shape = x.shape()](const Tensor& g, Gradients& grads) { grads.set(0, g.reshape(shape)); },
      {{"shape", dims}});
}

Variable reshape(const Variable& x, std::initializer_list<std::int64_t> dims) {
  return reshape(x, std::span(dims.begin(), dims.size()));
}

Tensor permuted(const Tensor& x, std::span<const std::int64_t> axes_given) {
  check_defined(kPermute, "input", x);
  const Axes axes = checked_permutation(x.shape(), axes_given);
  PermutedStrides p;
  Axes dims;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const int axis = static_cast<int>(axes[i]);
    p.size[i] = x.shape()[axis];
    p.stride[i] = x.shape().slice(axis + 1, x.rank()).numel();
    dims.push_back(p.size[i]);
  }
  Tensor y = Tensor::empty(Shape(dims), x.dtype(), x.device());
  Traffic::add_copied(y.nbytes());
  if (y.numel() == 0) return y;
  const auto on_cpu = [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), "permute", [&]<class T>(T) {
      T* out = y.data<T>();
      copy_permuted(p, 0, x.rank(), x.data<T>(), out);
    });
  };
  dispatch_device(x.device(), kPermuteCuda, on_cpu, axes, x, y);
  return y;
}

// dx = g, permuted back
Variable permute(const Variable& x, std::span<const std::int64_t> axes) {
  check_defined(kPermute, {&x});
  const Axes forward = checked_permutation(x.shape(), axes);
  check(!x.mask().defined() || (forward[0] == 0 && forward[1] == 1), "permute",
        "would move the positions of the mask; drop_mask() if it should end here");
  return record(
      kPermute, {&x}, permuted(x.value(), axes),
      with_reach([forward](const Tensor& g,
                           Gradients& grads) { grads.set(0, permuted(g, inverse(forward))); },
                 [forward](std::size_t, const Tensor& marked, const Way& way) {
                   return permuted(marked, way.back ? inverse(forward) : forward);
                 }),
      {{"axes", axes}});
}

Variable permute(const Variable& x, std::initializer_list<std::int64_t> axes) {
  return permute(x, std::span(axes.begin(), axes.size()));
}

Tensor expand(const Tensor& x, const Shape& shape) {
  check_defined(kBroadcastTo, "input", x);
  if (x.shape() == shape) return x;
  check(can_broadcast(x.shape(), shape), "broadcast_to", "{} does not broadcast to {}", x.shape(),
        shape);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  Traffic::add_copied(y.nbytes());
  const BroadcastPlan plan("broadcast_to", x.shape(), shape);
  constexpr functors::Same kCopy;
  const auto on_cpu = [&] {
    dispatch_dtype(AllTypes{}, x.dtype(), "broadcast_to",
                   [&]<class T>(T) { zip_all(plan, y.data<T>(), kCopy, x.data<T>()); });
  };
  dispatch_device(x.device(), "broadcast_to", kElementwiseCuda<functors::Same, Tensor>, on_cpu,
                  kCopy, x, y);
  return y;
}

// dx = g, summed where x was repeated (by the tape)
Variable broadcast_to(const Variable& x, const Shape& shape) {
  check_defined(kBroadcastTo, {&x});
  return record(kBroadcastTo, {&x}, expand(x.value(), shape),
                [](const Tensor& g, Gradients& grads) { grads.set(0, g); },
                {{"shape", shape.dims()}});
}

}  // namespace maskgrad::ops
