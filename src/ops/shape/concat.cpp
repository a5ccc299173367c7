#include <cstring>

#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/around.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/mask/mask_checks.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kConcat = register_op({
    .name = "concat",
    .summary = "values one after another along an axis",
    .inputs = {{.name = "input",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny,
                .repeated = true}},
    .args = {{"axis", std::int64_t{0}}},
    .mask_rule = MaskRule::kChanges,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {concat(call.repeated("input"), call.arg<std::int64_t>("axis"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const std::int64_t axis : {0, 1, -1}) {
        OpSample sample{{}, {{"axis", axis}}};
        for (const std::int64_t size : {2, 0, 3}) {
          const Shape shape = Shape{2, 4, 3}.with_dim(Shape{2, 4, 3}.normalize(axis), size);
          const std::string name = "input" + std::to_string(sample.inputs.size());
          sample.inputs[name] = sample_uniform(r, shape);
        }
        samples.push_back(sample);
      }
      return samples;
    },
});

// Where the parts of a value of this shape, cut along an axis, lie in memory.
struct Cuts {
  std::int64_t outer;              // how often the parts follow each other
  std::size_t step;                // bytes of one round of all parts
  PoolVector<std::size_t> begins;  // of each part within a round, and the end
  PoolVector<Shape> shapes;
};

Cuts cuts_of(const Shape& whole, std::span<const Shape> parts, int axis, DType dtype) {
  const Around d = around(whole, axis);
  const auto inner = static_cast<std::size_t>(d.inner);
  Cuts cuts{d.outer, 0, {0}, {parts.begin(), parts.end()}};
  for (const Shape& part : parts) {
    cuts.step += static_cast<std::size_t>(part[axis]) * inner * size_of(dtype);
    cuts.begins.push_back(cuts.step);
  }
  return cuts;
}

// Copies part i between the whole and a value of its own.
template <class Copy>
void for_each_piece(const Cuts& cuts, std::size_t i, Copy copy) {
  const std::size_t bytes = cuts.begins[i + 1] - cuts.begins[i];
  for (std::int64_t o = 0; o < cuts.outer && bytes > 0; ++o) {
    const auto round = static_cast<std::size_t>(o);
    copy(round * cuts.step + cuts.begins[i], round * bytes, bytes);
  }
}

void put(const Cuts& cuts, std::size_t i, const Tensor& part, Tensor& whole) {
  for_each_piece(cuts, i, [&](std::size_t in_whole, std::size_t in_part, std::size_t bytes) {
    std::memcpy(whole.raw_data() + in_whole, part.raw_data() + in_part, bytes);
  });
}

Tensor take(const Cuts& cuts, std::size_t i, const Tensor& whole) {
  Tensor part = Tensor::empty(cuts.shapes[i], whole.dtype(), whole.device());
  for_each_piece(cuts, i, [&](std::size_t in_whole, std::size_t in_part, std::size_t bytes) {
    std::memcpy(part.raw_data() + in_part, whole.raw_data() + in_whole, bytes);
  });
  return part;
}

Tensor join(std::span<const Tensor> parts, int axis) {
  Shape whole = parts[0].shape().with_dim(axis, 0);
  PoolVector<Shape> shapes;
  for (const Tensor& part : parts) {
    shapes.push_back(part.shape());
    whole = whole.with_dim(axis, whole[axis] + part.shape()[axis]);
  }
  const Cuts cuts = cuts_of(whole, shapes, axis, parts[0].dtype());
  Tensor result = Tensor::empty(whole, parts[0].dtype(), parts[0].device());
  dispatch_device(result.device(), "concat", [&] {
    for (std::size_t i = 0; i < parts.size(); ++i) put(cuts, i, parts[i], result);
  });
  return result;
}

SequenceMask joined_mask(std::span<const Variable> values, int axis) {
  bool any_masked = false;
  for (const Variable& value : values) any_masked |= value.mask().defined();
  if (!any_masked) return {};
  PoolVector<Tensor> bits;
  for (const Variable& value : values) {
    if (axis >= 2) check_same_mask("concat", value.mask(), values[0].mask());
    bits.push_back(value.mask().defined()
                       ? value.mask().bits()
                       : Tensor::full(value.shape().slice(0, 2), 1, DType::kBool));
  }
  return axis < 2 ? SequenceMask(join(bits, axis)) : values[0].mask();
}

int checked_axis(std::span<const Variable> values, std::int64_t axis_given) {
  for (const Variable& value : values) check_defined(kConcat, {&value});
  check(!values.empty() && values[0].rank() >= 1, "concat",
        "needs one value at least, and no scalars");
  const Variable& first = values[0];
  const int axis = first.shape().normalize(axis_given);
  for (const Variable& value : values) {
    check(value.rank() == first.rank() && value.dtype() == first.dtype() &&
              value.shape().with_dim(axis, 0) == first.shape().with_dim(axis, 0),
          "concat", "values must be the same except along axis {}: {} {} and {} {}", axis,
          to_string(first.dtype()), first.shape(), to_string(value.dtype()), value.shape());
  }
  return axis;
}

}  // namespace

// dvalues_i = its part of g
Variable concat(std::span<const Variable> values, std::int64_t axis_given) {
  const int axis = checked_axis(values, axis_given);
  PoolVector<Tensor> parts;
  PoolVector<Shape> shapes;
  PoolVector<const Variable*> inputs;
  for (const Variable& value : values) {
    parts.push_back(value.value());
    shapes.push_back(value.shape());
    inputs.push_back(&value);
  }
  Tensor y = join(parts, axis);
  const Cuts cuts = cuts_of(y.shape(), shapes, axis, y.dtype());
  const auto rule = [cuts](const Tensor& g, Gradients& grads) {
    for (std::size_t i = 0; i < cuts.shapes.size(); ++i) {
      if (grads.needed(i)) grads.set(i, take(cuts, i, g));
    }
  };
  const auto reached = [=](std::size_t i, const Tensor& marked, const Way& way) {
    const Cuts of_marks = cuts_of(way.output, shapes, axis, DType::kBool);
    if (way.back) return take(of_marks, i, marked);
    Tensor marks = Tensor::zeros(way.output, DType::kBool);
    put(of_marks, i, marked, marks);
    return marks;
  };
  return record(kConcat, inputs, std::move(y), joined_mask(values, axis), with_reach(rule, reached),
                {{"axis", axis}});
}

Variable concat(std::initializer_list<Variable> values, std::int64_t axis) {
  return concat(std::span(values.begin(), values.size()), axis);
}

}  // namespace maskgrad::ops
