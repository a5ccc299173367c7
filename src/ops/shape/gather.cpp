#include <maskgrad/ops/cpu/rows/occurrences.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/traffic.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {
namespace {

using Axis = std::int64_t;

const OpDef& register_choice(const char* name, const char* summary,
                             Variable (*function)(const Variable&, std::int64_t, const Tensor&),
                             std::function<std::vector<OpSample>(Random&)> samples) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "input",
                  .reach = Reach::kByCall,
                  .gradient = Reads::nothing(),
                  .dtypes = DTypes::kAny},
                 integer_input("indices")},
      .args = {{"axis", Axis{0}}},
      .mask_rule = MaskRule::kChanges,
      .call = [=](const OpCall& call) -> std::vector<Variable> {
        return {
            function(call.input("input"), call.arg<Axis>("axis"), call.input("indices").value())};
      },
      .samples = std::move(samples),
  });
}

const OpDef& kIndexSelect = register_choice(
    "index_select", "entries along an axis in the order of indices", index_select,
    [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Axis axis : {0, 1, -1}) {
        samples.push_back(
            {{{"input", sample_uniform(r, {3, 4, 3})}, {"indices", sample_indices(r, {5}, 3)}},
             {{"axis", axis}}});
      }
      samples.push_back(
          {{{"input", sample_uniform(r, {2, 3})}, {"indices", sample_indices(r, {0}, 2)}}});
      return samples;
    });

const OpDef& kGather = register_choice(
    "gather", "one element along an axis for each index", gather,
    [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Axis axis : {0, 1, -1}) {
        const Shape shape = Shape{3, 2, 3}.with_dim(Shape{3, 2, 3}.normalize(axis), 4);
        samples.push_back(
            {{{"input", sample_uniform(r, {3, 2, 3})}, {"indices", sample_indices(r, shape, 2)}},
             {{"axis", axis}}});
      }
      samples.push_back(
          {{{"input", sample_uniform(r, {4})}, {"indices", sample_indices(r, {6}, 4)}}});
      return samples;
    });

// A value seen as a table of rows, and the row that each row of the result is; below 0: 0 instead.
struct Choice {
  PoolVector<std::int64_t> rows;
  std::int64_t columns = 1;
  Shape result;

  Tensor take(const Tensor& x) const {
    Tensor y = Tensor::empty(result, x.dtype(), x.device());
    Traffic::add_copied(y.nbytes());
    dispatch_device(x.device(), "gather", [&] {
      dispatch_dtype(AllTypes{}, x.dtype(), "gather", [&]<class T>(T) {
        const T* from = x.data<T>();
        T* to = y.data<T>();
        parallel_for(std::ssize(rows), least_for(columns), [&](std::int64_t i, std::int64_t end) {
          for (; i < end; ++i) {
            const std::int64_t row = rows[static_cast<std::size_t>(i)];
            if (row < 0) {
              std::fill_n(to + i * columns, columns, T{});
            } else {
              std::copy_n(from + row * columns, columns, to + i * columns);
            }
          }
        });
      });
    });
    return y;
  }
  // table, which holds 0, becomes the sums of g over the places of each row.
  void sum(const Tensor& g, Tensor& table) const {
    dispatch_device(g.device(), "gather", [&] {
      dispatch_dtype(FloatingTypes{}, g.dtype(), "gather", [&]<class T>(T) {
        if (columns > 0) {
          sum_taken(std::span<const std::int64_t>(rows), g.data<T>(), columns,
                    table.numel() / columns, table.data<T>());
        }
      });
    });
  }
  // Which places of x are taken to a marked one.
  Tensor taken_to(const Tensor& marked, const Shape& shape) const {
    Tensor marks = Tensor::zeros(shape, DType::kBool);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] < 0) continue;
      const bool* from = marked.data<bool>() + static_cast<std::int64_t>(i) * columns;
      bool* to = marks.data<bool>() + rows[i] * columns;
      for (std::int64_t j = 0; j < columns; ++j) to[j] |= from[j];
    }
    return marks;
  }
};

// The elements before, along and behind an axis.
struct Sizes {
  std::int64_t outer, along, inner;
};
Sizes sizes_around(const Shape& shape, int axis) {
  return {shape.slice(0, axis).numel(), shape[axis], shape.slice(axis + 1, shape.rank()).numel()};
}

// Calls f(i, index) for each index that is read. Throws Error for one out of range.
template <class IsRead, class F>
void for_each_index(const OpDef& op, const Tensor& indices, int axis, const Shape& shape,
                    IsRead is_read, F f) {
  dispatch_dtype(IntegerTypes{}, indices.dtype(), op.name.c_str(), [&]<class T>(T) {
    const T* from = indices.data<T>();
    for (std::int64_t i = 0; i < indices.numel(); ++i) {
      if (!is_read(i)) continue;
      check(from[i] >= 0 && from[i] < shape[axis], op.name.c_str(),
            "index {} at element {} is outside the {} entries of axis {} of {}", from[i], i,
            shape[axis], axis, shape);
      f(i, static_cast<std::int64_t>(from[i]));
    }
  });
}

// The rows of [outer, along] that the entries at `indices` are.
Choice entries(const OpDef& op, const Shape& shape, int axis, const Tensor& indices) {
  const Sizes d = sizes_around(shape, axis);
  const std::int64_t count = indices.numel();
  Choice choice{{}, d.inner, shape.with_dim(axis, count)};
  choice.rows.resize(static_cast<std::size_t>(d.outer * count));
  for_each_index(
      op, indices, axis, shape, [](std::int64_t) { return true; },
      [&](std::int64_t k, std::int64_t index) {
        for (std::int64_t o = 0; o < d.outer; ++o) {
          choice.rows[static_cast<std::size_t>(o * count + k)] = o * d.along + index;
        }
      });
  return choice;
}

// The elements of x, as rows of one column.
Choice elements(const OpDef& op, const Variable& x, int axis, const Tensor& indices) {
  const Sizes d = sizes_around(x.shape(), axis);
  const std::int64_t of_outer = indices.dim(axis) * d.inner;
  Choice choice{{}, 1, indices.shape()};
  choice.rows.assign(static_cast<std::size_t>(indices.numel()), -1);
  for_each_index(
      op, indices, axis, x.shape(),
      [&](std::int64_t i) { return !is_hole(x.mask(), indices.shape(), i); },
      [&](std::int64_t i, std::int64_t index) {
        choice.rows[static_cast<std::size_t>(i)] =
            (i / of_outer * d.along + index) * d.inner + i % d.inner;
      });
  return choice;
}

Variable chosen(const OpDef& op, const Variable& x, Choice choice, SequenceMask mask) {
  Tensor y = choice.take(x.value());
  const auto rule = [choice](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    dx.fill(0.0);
    choice.sum(g, dx);
  };
  const auto reach = [choice](std::size_t, const Tensor& marked, const Way& way) {
    return way.back ? choice.taken_to(marked, way.input) : choice.take(marked);
  };
  return record(op, {&x}, std::move(y), std::move(mask), with_reach(rule, reach));
}

}  // namespace

// dx = g summed over the places an entry was taken to
Variable index_select(const Variable& x, std::int64_t axis_given, const Tensor& indices) {
  check_defined(kIndexSelect, {&x});
  check_defined(kIndexSelect, "indices", indices);
  check(indices.rank() == 1, "index_select", "indices must be [K], got {}", indices.shape());
  const int axis = x.shape().normalize(axis_given);
  SequenceMask mask = x.mask();
  if (mask.defined() && axis < 2) {
    mask = SequenceMask(entries(kIndexSelect, mask.shape(), axis, indices).take(mask.bits()));
  }
  return chosen(kIndexSelect, x, entries(kIndexSelect, x.shape(), axis, indices), std::move(mask));
}

// dx = g summed over the places an element was taken to
Variable gather(const Variable& x, std::int64_t axis_given, const Tensor& indices) {
  check_defined(kGather, {&x});
  check_defined(kGather, "indices", indices);
  const int axis = x.shape().normalize(axis_given);
  check(indices.rank() == x.rank() &&
            indices.shape().with_dim(axis, 0) == x.shape().with_dim(axis, 0),
        "gather", "indices {} must have the sizes of {} but along axis {}", indices.shape(),
        x.shape(), axis);
  check(!x.mask().defined() || axis >= 2, "gather",
        "would move the positions of the mask along axis {}; use index_select(), or drop_mask() on "
        "purpose",
        axis);
  return chosen(kGather, x, elements(kGather, x, axis, indices), x.mask());
}

}  // namespace maskgrad::ops
