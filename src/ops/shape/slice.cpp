#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/axis_part.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

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

using Sizes = std::vector<std::int64_t>;

const OpDef& kSplit = register_op({
    .name = "split",
    .summary = "parts of these sizes, one after another along an axis",
    .inputs = {{.name = "input",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny}},
    .args = {{"sizes", Sizes{}}, {"axis", std::int64_t{0}}},
    .outputs = {"part"},
    .repeats_outputs = true,
    .mask_rule = MaskRule::kChanges,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const PoolVector<Variable> parts =
          split(call.input("input"), call.arg<Sizes>("sizes"), call.arg<std::int64_t>("axis"));
      return {parts.begin(), parts.end()};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {3, 4, 5})}},
               {{"sizes", Sizes{1, 0, 3}}, {"axis", std::int64_t{1}}}},
              {{{"input", sample_uniform(r, {3, 4, 5})}},
               {{"sizes", Sizes{2, 3}}, {"axis", std::int64_t{-1}}}},
              {{{"input", sample_uniform(r, {3, 2})}}, {{"sizes", Sizes{3}}}}};
    },
});

AxisPart part_of(const Shape& shape, std::int64_t axis_given, std::int64_t begin_given,
                 std::int64_t end_given, std::int64_t step) {
  const int axis = shape.normalize(axis_given, "slice");
  const std::int64_t size = shape[axis];
  const std::int64_t begin = begin_given < 0 ? begin_given + size : begin_given;
  const std::int64_t end = end_given == kToEnd ? size
                           : end_given < 0     ? end_given + size
                                               : end_given;
  check(step >= 1, "slice", "the step must be at least 1, got {}", step);
  check(begin >= 0 && begin <= end && end <= size, "slice",
        "{}:{} is no part of axis {} of {}: 0 <= begin <= end <= {} must hold", begin_given,
        end_given == kToEnd ? std::string("end") : std::to_string(end_given), axis, shape, size);
  return {axis, begin, (end - begin) / step + ((end - begin) % step != 0), step};
}

SequenceMask mask_of(const PartKernel& op, const AxisPart& part, const SequenceMask& mask) {
  if (!mask.defined() || part.axis >= 2) return mask;
  return SequenceMask(take_part(op, part, mask.bits()));
}

// Marks of the whole in the part, or back.
Tensor taken(const PartKernel& op, const AxisPart& part, const Tensor& marked, const Way& way) {
  if (!way.back) return take_part(op, part, marked);
  Tensor marks = Tensor::zeros(way.input, DType::kBool);
  put_part(op, part, marked, marks);
  return marks;
}

// One after another.
PoolVector<AxisPart> parts_of(int axis, std::span<const std::int64_t> sizes) {
  PoolVector<AxisPart> parts;
  parts.reserve(sizes.size());
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back({axis, begin, size, 1});
    begin += size;
  }
  return parts;
}

}  // namespace

// dx = g where it was taken, 0 elsewhere
Variable slice(const Variable& x, std::int64_t axis, std::int64_t begin, std::int64_t end,
               std::int64_t step) {
  check_defined(kSlice, {&x});
  const AxisPart part = part_of(x.shape(), axis, begin, end, step);
  const auto rule = [part](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    dx.fill(0.0);
    put_part(kSliceCuda, part, g, dx);
  };
  const auto reach = [part](std::size_t, const Tensor& marked, const Way& way) {
    return taken(kSliceCuda, part, marked, way);
  };
  return record(kSlice, {&x}, take_part(kSliceCuda, part, x.value()),
                mask_of(kSliceCuda, part, x.mask()), with_reach(rule, reach),
                {{"axis", part.axis}, {"begin", begin}, {"end", end}, {"step", step}});
}

// dx = the gradients of the parts one after another, 0 where none arrived
PoolVector<Variable> split(const Variable& x, std::span<const std::int64_t> sizes,
                           std::int64_t axis_given) {
  check_given(x.defined(), "split", "the input");
  const int axis = x.shape().normalize(axis_given, "split");
  std::int64_t left = x.dim(axis);
  bool fit = true;
  for (const std::int64_t size : sizes) {
    fit = fit && size >= 0 && size <= left;
    if (fit) left -= size;
  }
  check(fit && left == 0, "split", "sizes ({}) do not add up to the {} entries of axis {} of {}",
        fmt::join(sizes, ", "), x.dim(axis), axis, x.shape());
  const PoolVector<AxisPart> parts = parts_of(axis, sizes);
  PoolVector<OpOutput> made;
  made.reserve(parts.size());
  for (const AxisPart& part : parts) {
    made.push_back({take_part(kSplitCuda, part, x.value()), mask_of(kSplitCuda, part, x.mask())});
  }
  const auto rule = [parts](std::span<Tensor> arrived, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const bool all =
        std::all_of(arrived.begin(), arrived.end(), [](const Tensor& g) { return g.defined(); });
    if (!all) dx.fill(0.0);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (arrived[i].defined()) put_part(kSplitCuda, parts[i], arrived[i], dx);
    }
  };
  const auto reach = [parts](std::size_t, const Tensor& marked, const Way& way) {
    return taken(kSplitCuda, parts[way.which], marked, way);
  };
  PoolVector<Variable> results(parts.size());
  record(kSplit, {&x}, made, results, with_reach(rule, reach), {{"sizes", sizes}, {"axis", axis}});
  return results;
}

PoolVector<Variable> split(const Variable& x, std::initializer_list<std::int64_t> sizes,
                           std::int64_t axis) {
  return split(x, std::span(sizes.begin(), sizes.size()), axis);
}

}  // namespace maskgrad::ops
