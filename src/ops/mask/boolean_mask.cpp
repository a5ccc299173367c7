#include <algorithm>

#include <maskgrad/ops/mask/boolean_mask.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/row_moves.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kBooleanMask = register_op({
    .name = "boolean_mask",
    .summary = "the rows where the mask is true, and where they were",
    .inputs = {{.name = "data",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny},
               mask_input(Reach::kEverything)},
    .outputs = {"output", "indices"},
    .mask_rule = MaskRule::kChanges,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      KeptRows kept = boolean_mask(call.input("data"), call.input("mask").value());
      return {kept.output, Variable(kept.indices)};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Shape& shape : {Shape{7}, Shape{6, 3}, Shape{4, 2, 0}, Shape{0, 2}}) {
        samples.push_back(
            {{{"data", sample_uniform(r, shape)}, {"mask", sample_bits(r, {shape[0]})}}});
      }
      return samples;
    },
});

const OpDef& kBooleanMaskLengths = register_op({
    .name = "boolean_mask_lengths",
    .summary = "how many places of each segment the mask keeps",
    .inputs = {integer_input("lengths"), mask_input(Reach::kEverything)},
    .mask_rule = MaskRule::kEnds,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {Variable(
          boolean_mask_lengths(call.input("lengths").value(), call.input("mask").value()))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"lengths", Tensor::from<std::int64_t>({1, 3, 0, 2}, {4})},
                {"mask", sample_bits(r, {6})}}},
              {{{"lengths", Tensor::from<std::int32_t>({2}, {1})}, {"mask", sample_bits(r, {2})}}}};
    },
});

// Masks that between them are true everywhere, and values that fit them.
OpSample unmask_sample(Random& r, std::int64_t places, const Shape& row) {
  const Tensor first = sample_bits(r, {places}, 0.5);
  const Tensor all = Tensor::full({places}, 1, DType::kBool);
  const std::int64_t count = true_places(first).numel();
  return {{{"mask0", first},
           {"values0", sample_uniform(r, Shape{count}.concat(row))},
           {"mask1", all},
           {"values1", sample_uniform(r, Shape{places - count}.concat(row))}}};
}

const OpDef& kBooleanUnmask = register_op({
    .name = "boolean_unmask",
    .summary = "each place takes the next value of the first mask that is true there",
    .inputs = {{.name = "mask",
                .reach = Reach::kEverything,
                .dtypes = DTypes::kBool,
                .differentiable = false,
                .repeated = true},
               {.name = "values",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny,
                .repeated = true}},
    .mask_rule = MaskRule::kEnds,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      std::vector<Tensor> masks;
      for (const Variable& mask : call.repeated("mask")) masks.push_back(mask.value());
      return {boolean_unmask(masks, call.repeated("values"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {unmask_sample(r, 6, {}), unmask_sample(r, 5, {2}), unmask_sample(r, 0, {3})};
    },
});

const OpDef& kUnmaskFill = register_op({
    .name = "unmask_fill",
    .summary = "the values where the mask is true, fill in the other rows",
    .inputs = {{.name = "values",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny},
               mask_input(Reach::kEverything)},
    .args = {{"fill", Scalar(0.0)}},
    .mask_rule = MaskRule::kChanges,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {
          unmask_fill(call.input("values"), call.input("mask").value(), call.arg<Scalar>("fill"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const std::int64_t places : {6, 1, 0}) {
        const Tensor mask = sample_bits(r, {places});
        samples.push_back(
            {{{"values", sample_uniform(r, {true_places(mask).numel(), 3})}, {"mask", mask}},
             {{"fill", Scalar(7.0)}}});
      }
      return samples;
    },
});

const OpDef& kTrueCounts = register_op({
    .name = "true_counts",
    .summary = "how many trues each row of a mask has",
    .inputs = {mask_input(Reach::kLastAxis)},
    .mask_rule = MaskRule::kEnds,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {Variable(true_counts(call.input("mask").value()))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"mask", sample_bits(r, {3, 5})}}}, {{{"mask", sample_bits(r, {2, 0})}}}};
    },
});

void check_row_mask(const OpDef& op, const Tensor& mask) {
  check_defined(op, "mask", mask);
  check(mask.dtype() == DType::kBool && mask.rank() == 1, op.name.c_str(),
        "a mask must be bool [N], got {} {}", to_string(mask.dtype()), mask.shape());
}

// The sequence mask of rows that were moved: `move` does with bits what was done with the rows.
template <class F>
SequenceMask moved(const SequenceMask& mask, F move) {
  return mask.defined() ? SequenceMask(move(mask.bits())) : SequenceMask();
}

// For each mask, the places where it is the first that is true.
std::vector<Tensor> first_true_places(std::span<const Tensor> masks) {
  const std::int64_t places = masks.front().numel();
  std::vector<Tensor> owned;
  Tensor taken = Tensor::zeros({places}, DType::kBool);
  for (const Tensor& mask : masks) {
    Tensor first = Tensor::empty({places}, DType::kBool);
    for (std::int64_t n = 0; n < places; ++n) {
      first.data<bool>()[n] = mask.data<bool>()[n] && !taken.data<bool>()[n];
      taken.data<bool>()[n] |= mask.data<bool>()[n];
    }
    owned.push_back(true_places(first));
  }
  const auto bits = taken.values<bool>();
  const auto hole = std::find(bits.begin(), bits.end(), false);
  check(hole == bits.end(), "boolean_unmask", "no mask is true at place {}", hole - bits.begin());
  return owned;
}

void check_unmask(std::span<const Tensor> masks, std::span<const Variable> values) {
  check(!masks.empty() && masks.size() == values.size(), "boolean_unmask",
        "needs as many values as masks, and one at least: got {} masks and {} values", masks.size(),
        values.size());
  for (std::size_t i = 0; i < masks.size(); ++i) {
    check_row_mask(kBooleanUnmask, masks[i]);
    check_defined(kBooleanUnmask, "values", values[i].value());
    check(masks[i].numel() == masks[0].numel(), "boolean_unmask",
          "mask {} has {} places, mask 0 has {}", i, masks[i].numel(), masks[0].numel());
    const Variable &v = values[i], &first = values[0];
    check(v.rank() >= 1, "boolean_unmask", "values {} must have rows, got a scalar", i);
    check(v.rank() == first.rank() && v.dtype() == first.dtype() &&
              v.shape().with_dim(0, 0) == first.shape().with_dim(0, 0),
          "boolean_unmask", "values {} are {} {}, values 0 {} {}: rows must be the same", i,
          to_string(v.dtype()), v.shape(), to_string(first.dtype()), first.shape());
    check_same_device("boolean_unmask", first.value(), v.value());
    check(!v.mask().defined(), "boolean_unmask",
          "values {} carry a mask, which has no place in the output; drop_mask() it", i);
  }
}

}  // namespace

// ddata = g put back where the rows were, 0 elsewhere
KeptRows boolean_mask(const Variable& data, const Tensor& mask) {
  check_defined(kBooleanMask, {&data});
  check_row_mask(kBooleanMask, mask);
  check(data.rank() >= 1 && data.dim(0) == mask.numel(), "boolean_mask",
        "a mask of {} places does not fit data of {}", mask.numel(), data.shape());
  const Tensor indices = true_places(mask);
  const Saved places(kBooleanMask, "indices", indices);
  const std::int64_t rows = mask.numel();
  const auto take = [places](const Tensor& x) {
    return take_rows(kBooleanMaskCuda, x, places->values<std::int64_t>());
  };
  const auto put = [places, rows](const Tensor& x) {
    return put_rows(kBooleanMaskCuda, x, places->values<std::int64_t>(), rows, 0.0);
  };
  Variable output =
      record(kBooleanMask, {&data}, take(data.value()), moved(data.mask(), take),
             with_reach([put](const Tensor& g, Gradients& grads) { grads.set(0, put(g)); },
                        [take, put](std::size_t, const Tensor& marked, const Way& way) {
                          return way.back ? put(marked) : take(marked);
                        }),
             {{"mask", mask}});
  return {output, indices};
}

Tensor boolean_mask_lengths(const Tensor& lengths, const Tensor& mask) {
  check_defined(kBooleanMaskLengths, "lengths", lengths);
  check_row_mask(kBooleanMaskLengths, mask);
  check(lengths.rank() == 1, "boolean_mask_lengths", "lengths must be [B], got {}",
        lengths.shape());
  Tensor counts = Tensor::empty(lengths.shape(), lengths.dtype(), lengths.device());
  dispatch_dtype(IntegerTypes{}, lengths.dtype(), "boolean_mask_lengths", [&]<class T>(T) {
    const bool* bits = mask.data<bool>();
    std::int64_t at = 0;
    for (std::int64_t b = 0; b < lengths.numel(); ++b) {
      const std::int64_t length = lengths.data<T>()[b];
      check(length >= 0 && length <= mask.numel() - at, "boolean_mask_lengths",
            "length {} of segment {} does not fit: {} of {} places are left", length, b,
            mask.numel() - at, mask.numel());
      counts.data<T>()[b] = static_cast<T>(std::count(bits + at, bits + at + length, true));
      at += length;
    }
    check(at == mask.numel(), "boolean_mask_lengths", "the lengths add up to {}, the mask has {}",
          at, mask.numel());
  });
  return counts;
}

// dvalues_i = the rows of g that it placed
Variable boolean_unmask(std::span<const Tensor> masks, std::span<const Variable> values) {
  check_unmask(masks, values);
  const std::vector<Tensor> owned = first_true_places(masks);
  const std::int64_t places = masks[0].numel();
  Tensor y =
      Tensor::zeros(values[0].shape().with_dim(0, places), values[0].dtype(), values[0].device());
  std::vector<const Variable*> inputs;
  PoolVector<Given> given;
  for (std::size_t i = 0; i < values.size(); ++i) {
    check(values[i].dim(0) == owned[i].numel(), "boolean_unmask",
          "mask {} is the first true one at {} places, but there are {} values for it", i,
          owned[i].numel(), values[i].dim(0));
    place_rows(kBooleanUnmaskCuda, values[i].value(), owned[i].values<std::int64_t>(), y);
    inputs.push_back(&values[i]);
    given.push_back({"mask", i, masks[i]});
  }
  const auto take = [owned](std::size_t i, const Tensor& x) {
    return take_rows(kBooleanUnmaskCuda, x, owned[i].values<std::int64_t>());
  };
  const auto rule = [take, count = values.size()](const Tensor& g, Gradients& grads) {
    for (std::size_t i = 0; i < count; ++i) {
      if (grads.needed(i)) grads.set(i, take(i, g));
    }
  };
  const auto reached = [=](std::size_t i, const Tensor& marked, const Way& way) {
    if (way.back) return take(i, marked);
    return put_rows(kBooleanUnmaskCuda, marked, owned[i].values<std::int64_t>(), places, 0.0);
  };
  return record(kBooleanUnmask, inputs, std::move(y), SequenceMask(), with_reach(rule, reached),
                given);
}

// dvalues = g at the kept places
Variable unmask_fill(const Variable& values, const Tensor& mask, Scalar fill) {
  check_defined(kUnmaskFill, {&values});
  check_row_mask(kUnmaskFill, mask);
  fill.check_fits("unmask_fill", "fill", values.dtype());
  const Tensor places = true_places(mask);
  check(values.rank() >= 1 && values.dim(0) == places.numel(), "unmask_fill",
        "the mask keeps {} of {} places, but the values are {}", places.numel(), mask.numel(),
        values.shape());
  const auto put = [places, rows = mask.numel()](const Tensor& x, Scalar with) {
    return put_rows(kUnmaskFillCuda, x, places.values<std::int64_t>(), rows, with);
  };
  const auto take = [places](const Tensor& x) {
    return take_rows(kUnmaskFillCuda, x, places.values<std::int64_t>());
  };
  const auto put_marks = [put](const Tensor& x) { return put(x, 0.0); };
  return record(kUnmaskFill, {&values}, put(values.value(), fill), moved(values.mask(), put_marks),
                with_reach([take](const Tensor& g, Gradients& grads) { grads.set(0, take(g)); },
                           [take, put_marks](std::size_t, const Tensor& marked, const Way& way) {
                             return way.back ? take(marked) : put_marks(marked);
                           }),
                {{"mask", mask}, {"fill", fill}});
}

Tensor true_counts(const Tensor& mask) {
  check_defined(kTrueCounts, "mask", mask);
  check(mask.dtype() == DType::kBool && mask.rank() == 2, "true_counts",
        "needs bool [N, M], got {} {}", to_string(mask.dtype()), mask.shape());
  Tensor counts = Tensor::empty({mask.dim(0)}, DType::kInt64, mask.device());
  for (std::int64_t n = 0; n < mask.dim(0); ++n) {
    const bool* row = mask.data<bool>() + n * mask.dim(1);
    counts.data<std::int64_t>()[n] = std::count(row, row + mask.dim(1), true);
  }
  return counts;
}

Variable compute_on_kept(const Variable& x, const Tensor& mask,
                         const std::function<Variable(const Variable&)>& f, Scalar fill) {
  check(f != nullptr, "compute_on_kept", "there is no function to compute");
  return unmask_fill(f(boolean_mask(x, mask).output), mask, fill);
}

}  // namespace maskgrad::ops
