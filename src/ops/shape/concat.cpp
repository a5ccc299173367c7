#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/axis_part.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/checked.hpp>
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

// Where each value is in the whole, one after another along an axis.
struct Cuts {
  PoolVector<AxisPart> parts;
  Shape whole;
};

Cuts cuts_of(std::span<const Variable> values, int axis) {
  Cuts cuts;
  std::int64_t end = 0;
  for (const Variable& value : values) {
    cuts.parts.push_back({axis, end, value.dim(axis), 1});
    end = checked_add("concat", "the entries", end, value.dim(axis));
  }
  cuts.whole = values[0].shape().with_dim(axis, end);
  return cuts;
}

Tensor join(const Cuts& cuts, std::span<const Tensor> values, const Shape& whole) {
  Tensor result = Tensor::empty(whole, values[0].dtype(), values[0].device());
  for (std::size_t i = 0; i < values.size(); ++i) {
    put_part(kConcatCuda, cuts.parts[i], values[i], result);
  }
  return result;
}

SequenceMask joined_mask(std::span<const Variable> values, const Cuts& cuts, int axis) {
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
  return axis < 2 ? SequenceMask(join(cuts, bits, cuts.whole.slice(0, 2))) : values[0].mask();
}

int checked_axis(std::span<const Variable> values, std::int64_t axis_given) {
  for (const Variable& value : values) check_defined(kConcat, {&value});
  check(!values.empty() && values[0].rank() >= 1, "concat",
        "needs one value at least, and no scalars");
  const Variable& first = values[0];
  const int axis = first.shape().normalize(axis_given, "concat");
  for (const Variable& value : values) {
    check(value.rank() == first.rank() && value.dtype() == first.dtype() &&
              value.shape().with_dim(axis, 0) == first.shape().with_dim(axis, 0),
          "concat", "values must be the same except along axis {}: {} {} and {} {}", axis,
          to_string(first.dtype()), first.shape(), to_string(value.dtype()), value.shape());
    check_same_device("concat", first.value(), value.value());
  }
  return axis;
}

}  // namespace

// dvalues_i = its part of g
Variable concat(std::span<const Variable> values, std::int64_t axis_given) {
  const int axis = checked_axis(values, axis_given);
  const Cuts cuts = cuts_of(values, axis);
  PoolVector<Tensor> parts;
  PoolVector<const Variable*> inputs;
  for (const Variable& value : values) {
    parts.push_back(value.value());
    inputs.push_back(&value);
  }
  Tensor y = join(cuts, parts, cuts.whole);
  const auto rule = [cuts](const Tensor& g, Gradients& grads) {
    for (std::size_t i = 0; i < cuts.parts.size(); ++i) {
      if (grads.needed(i)) grads.set(i, take_part(kConcatCuda, cuts.parts[i], g));
    }
  };
  const auto reached = [cuts](std::size_t i, const Tensor& marked, const Way& way) {
    if (way.back) return take_part(kConcatCuda, cuts.parts[i], marked);
    Tensor marks = Tensor::zeros(way.output, DType::kBool);
    put_part(kConcatCuda, cuts.parts[i], marked, marks);
    return marks;
  };
  return record(kConcat, inputs, std::move(y), joined_mask(values, cuts, axis),
                with_reach(rule, reached), {{"axis", axis}});
}

Variable concat(std::initializer_list<Variable> values, std::int64_t axis) {
  return concat(std::span(values.begin(), values.size()), axis);
}

}  // namespace maskgrad::ops
