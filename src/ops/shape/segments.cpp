#include <algorithm>

#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/row_moves.hpp>
#include <maskgrad/ops/shape/segments.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/checked.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kReversePackedSegs = register_op({
    .name = "reverse_packed_segs",
    .summary = "each sequence of a batch turned around, padding where it was",
    .inputs = {{.name = "data",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny},
               integer_input("lengths")},
    .args = {{"batch_first", false}},
    .mask_rule = MaskRule::kChanges,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {reverse_packed_segs(call.input("data"), call.input("lengths").value(),
                                  call.arg<bool>("batch_first"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      const Tensor lengths = Tensor::from<std::int64_t>({4, 0, 2}, {3});
      return {
          {{{"data", sample_uniform(r, {4, 3, 2})}, {"lengths", lengths}}},
          {{{"data", sample_uniform(r, {3, 4})}, {"lengths", lengths}}, {{"batch_first", true}}},
          {{{"data", sample_uniform(r, {0, 1})},
            {"lengths", Tensor::from<std::int32_t>({0}, {1})}}}};
    },
});

const OpDef& kReverseSegmentOrder = register_op({
    .name = "reverse_segment_order",
    .summary = "segments in reverse order, elements inside a segment in theirs",
    .inputs = {{.name = "data",
                .reach = Reach::kByCall,
                .gradient = Reads::nothing(),
                .dtypes = DTypes::kAny},
               integer_input("lengths")},
    .outputs = {"output", "lengths"},
    .mask_rule = MaskRule::kChanges,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      ReversedSegments reversed =
          reverse_segment_order(call.input("data"), call.input("lengths").value());
      return {reversed.output, Variable(reversed.lengths)};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {
          {{{"data", sample_uniform(r, {6, 2})},
            {"lengths", Tensor::from<std::int64_t>({1, 3, 0, 2}, {4})}}},
          {{{"data", sample_uniform(r, {0})}, {"lengths", Tensor::from<std::int32_t>({}, {0})}}}};
    },
});

using Places = PoolVector<std::int64_t>;

PoolVector<std::int64_t> checked_lengths(const char* name, const Tensor& lengths) {
  check(lengths.rank() == 1, name, "lengths must be one-dimensional, got {}", lengths.shape());
  check(lengths.dtype() == DType::kInt32 || lengths.dtype() == DType::kInt64, name,
        "lengths are {}, they must be int32 or int64", to_string(lengths.dtype()));
  const Tensor wide = lengths.to(DType::kInt64);
  const auto values = wide.values<std::int64_t>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    check(values[i] >= 0, name, "length {} of sequence {} is negative", values[i], i);
  }
  return {values.begin(), values.end()};
}

// For each row of [T, B] or [B, T], which row comes there.
Places reversed_rows(const Places& lengths, std::int64_t steps, bool batch_first) {
  const auto batch = static_cast<std::int64_t>(lengths.size());
  Places from(static_cast<std::size_t>(steps * batch));
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t length = lengths[static_cast<std::size_t>(b)];
    check(length <= steps, "reverse_packed_segs",
          "length {} of sequence {} is more than the {} steps", length, b, steps);
    for (std::int64_t t = 0; t < steps; ++t) {
      const std::int64_t source = t < length ? length - 1 - t : t;
      const auto row = [&](std::int64_t step) {
        return batch_first ? b * steps + step : step * batch + b;
      };
      from[static_cast<std::size_t>(row(t))] = row(source);
    }
  }
  return from;
}

}  // namespace

// ddata = g, turned around
Variable reverse_packed_segs(const Variable& data, const Tensor& lengths, bool batch_first) {
  check_defined(kReversePackedSegs, {&data});
  check_defined(kReversePackedSegs, "lengths", lengths);
  check(data.rank() >= 2, "reverse_packed_segs", "needs {}, got {}",
        batch_first ? "[B, T, ...]" : "[T, B, ...]", data.shape());
  const std::int64_t steps = data.dim(batch_first ? 1 : 0), batch = data.dim(batch_first ? 0 : 1);
  const Places each = checked_lengths("reverse_packed_segs", lengths);
  check(lengths.numel() == batch, "reverse_packed_segs", "{} lengths do not fit a batch of {}",
        lengths.numel(), batch);
  check(batch_first || !data.mask().defined(), "reverse_packed_segs",
        "a mask [B, S] has no place on [T, B, ...]; use batch_first");
  const auto turn = [from = reversed_rows(each, steps, batch_first)](const Tensor& x) {
    const Shape rows = Shape{x.dim(0) * x.dim(1)}.concat(x.shape().slice(2, x.rank()));
    return take_rows(kReversePackedSegsCuda, x.reshape(rows), from).reshape(x.shape());
  };
  const SequenceMask mask =
      data.mask().defined() ? SequenceMask(turn(data.mask().bits())) : SequenceMask();
  return record(
      kReversePackedSegs, {&data}, turn(data.value()), mask,
      with_reach([turn](const Tensor& g, Gradients& grads) { grads.set(0, turn(g)); },
                 [turn](std::size_t, const Tensor& marked, const Way&) { return turn(marked); }),
      {{"lengths", lengths}, {"batch_first", batch_first}});
}

// ddata = g with its segments, whose lengths are reversed, in reverse order
ReversedSegments reverse_segment_order(const Variable& data, const Tensor& lengths) {
  check_defined(kReverseSegmentOrder, {&data});
  check_defined(kReverseSegmentOrder, "lengths", lengths);
  check(data.rank() >= 1, "reverse_segment_order", "needs [N, ...], got a scalar");
  check(!data.mask().defined(), "reverse_segment_order",
        "a mask [B, S] has no place on segments [N, ...]; drop_mask() it");
  const Places each = checked_lengths("reverse_segment_order", lengths);
  std::int64_t total = 0;
  for (const std::int64_t length : each) {
    total = checked_add("reverse_segment_order", "the sum of the lengths", total, length);
  }
  check(total == data.dim(0), "reverse_segment_order",
        "the lengths add up to {}, the data has {} rows", total, data.dim(0));
  Places from(static_cast<std::size_t>(total)), back(from.size());
  std::int64_t next = 0, end = total;
  for (auto length = each.rbegin(); length != each.rend(); ++length) {
    end -= *length;
    for (std::int64_t i = 0; i < *length; ++i, ++next) {
      from[static_cast<std::size_t>(next)] = end + i;
      back[static_cast<std::size_t>(end + i)] = next;
    }
  }
  Tensor reversed = lengths.clone();
  dispatch_dtype(IntegerTypes{}, lengths.dtype(), "reverse_segment_order", [&]<class T>(T) {
    std::reverse(reversed.data<T>(), reversed.data<T>() + reversed.numel());
  });
  const auto take = [](const Tensor& x, const Places& rows) {
    return take_rows(kReverseSegmentOrderCuda, x, rows);
  };
  Variable output =
      record(kReverseSegmentOrder, {&data}, take(data.value(), from), SequenceMask(),
             with_reach([=](const Tensor& g, Gradients& grads) { grads.set(0, take(g, back)); },
                        [=](std::size_t, const Tensor& marked, const Way& way) {
                          return take(marked, way.back ? back : from);
                        }),
             {{"lengths", lengths}});
  return {output, reversed};
}

}  // namespace maskgrad::ops
