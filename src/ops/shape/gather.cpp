#include <utility>

#include <maskgrad/ops/cpu/rows/occurrences.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/ops/shape/around.hpp>
#include <maskgrad/ops/shape/gather.hpp>
#include <maskgrad/ops/shape/row_moves.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
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
  const char* name;         // of the operation
  const RowKernel* kernel;  // that takes rows
  Tensor rows;              // int64 [rows of the result]; shared by all copies
  std::int64_t columns = 1;
  Shape result;

  Tensor take(const Tensor& x) const {
    Tensor y = Tensor::empty(result, x.dtype(), x.device());
    Traffic::add_copied(y.nbytes());
    const auto on_cpu = [&] {
      dispatch_dtype(AllTypes{}, x.dtype(), name, [&]<class T>(T) {
        const std::int64_t* row = rows.data<std::int64_t>();
        const T* from = x.data<T>();
        T* to = y.data<T>();
        parallel_for(rows.numel(), least_for(columns), [&](std::int64_t i, std::int64_t end) {
          for (; i < end; ++i) {
            if (row[i] < 0) {
              std::fill_n(to + i * columns, columns, T{});
            } else {
              std::copy_n(from + row[i] * columns, columns, to + i * columns);
            }
          }
        });
      });
    };
    dispatch_device(x.device(), *kernel, on_cpu, RowList::kSources, rows.values<std::int64_t>(),
                    columns, x, y);
    return y;
  }
  // table, which holds 0, becomes the sums of g over the places of each row.
  void sum(const Tensor& g, Tensor& table) const {
    const auto on_cpu = [&] {
      dispatch_dtype(FloatingTypes{}, g.dtype(), name, [&]<class T>(T) {
        if (columns > 0) {
          sum_taken(rows.values<std::int64_t>(), g.data<T>(), columns, table.numel() / columns,
                    table.data<T>());
        }
      });
    };
    dispatch_device(g.device(), name, kSumTakenCuda, on_cpu, rows.values<std::int64_t>(), g, table);
  }
  // Which places of x are taken to a marked one.
  Tensor taken_to(const Tensor& marked, const Shape& shape) const {
    Tensor marks = Tensor::zeros(shape, DType::kBool);
    const std::int64_t* row = rows.data<std::int64_t>();
    for (std::int64_t i = 0; i < rows.numel(); ++i) {
      if (row[i] < 0) continue;
      const bool* from = marked.data<bool>() + i * columns;
      bool* to = marks.data<bool>() + row[i] * columns;
      for (std::int64_t j = 0; j < columns; ++j) to[j] |= from[j];
    }
    return marks;
  }
};

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

// The rows of [outer, along] that the entries at `indices` are. No memory is taken before all
// indices are checked, nor for rows of no elements.
Choice entries(const OpDef& op, const Shape& shape, int axis, const Tensor& indices) {
  const Around d = around(shape, axis);
  const std::int64_t count = indices.numel();
  Tensor chosen = Tensor::empty({count}, DType::kInt64);
  for_each_index(
      op, indices, axis, shape, [](std::int64_t) { return true; },
      [index = chosen.data<std::int64_t>()](std::int64_t k, std::int64_t i) { index[k] = i; });
  Choice choice{op.name.c_str(), &kIndexSelectCuda, {}, d.inner, shape.with_dim(axis, count)};
  const std::int64_t outer = choice.result.numel() > 0 ? d.outer : 0;
  choice.rows = Tensor::empty({outer * count}, DType::kInt64);
  auto* row = choice.rows.data<std::int64_t>();
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const std::int64_t index : std::as_const(chosen).values<std::int64_t>()) {
      *row++ = o * d.along + index;
    }
  }
  return choice;
}

// The elements of x, as rows of one column.
Choice elements(const OpDef& op, const Variable& x, int axis, const Tensor& indices) {
  const Around d = around(x.shape(), axis);
  const std::int64_t of_outer = indices.dim(axis) * d.inner;
  const KeptPlaces kept(x.mask(), indices.shape());
  Choice choice{op.name.c_str(), &kGatherCuda, Tensor::full({indices.numel()}, -1, DType::kInt64),
                1, indices.shape()};
  for_each_index(
      op, indices, axis, x.shape(), [&](std::int64_t i) { return kept[i]; },
      [&, row = choice.rows.data<std::int64_t>()](std::int64_t i, std::int64_t index) {
        row[i] = (i / of_outer * d.along + index) * d.inner + i % d.inner;
      });
  return choice;
}

Variable chosen(const OpDef& op, const Variable& x, const Choice& choice, SequenceMask mask,
                AlsoGiven given) {
  auto rule = [choice](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    dx.fill(0.0);
    choice.sum(g, dx);
  };
  auto reach = [choice](std::size_t, const Tensor& marked, const Way& way) {
    return way.back ? choice.taken_to(marked, way.input) : choice.take(marked);
  };
  return record(op, {&x}, choice.take(x.value()), std::move(mask),
                with_reach(std::move(rule), std::move(reach)), given);
}

}  // namespace

// dx = g summed over the places an entry was taken to
Variable index_select(const Variable& x, std::int64_t axis_given, const Tensor& indices) {
  check_defined(kIndexSelect, {&x});
  check_defined(kIndexSelect, "indices", indices);
  check(indices.rank() == 1, "index_select", "indices must be [K], got {}", indices.shape());
  const int axis = x.shape().normalize(axis_given, "index_select");
  SequenceMask mask = x.mask();
  if (mask.defined() && axis < 2) {
    mask = SequenceMask(entries(kIndexSelect, mask.shape(), axis, indices).take(mask.bits()));
  }
  return chosen(kIndexSelect, x, entries(kIndexSelect, x.shape(), axis, indices), std::move(mask),
                {{"indices", indices}, {"axis", axis}});
}

// dx = g summed over the places an element was taken to
Variable gather(const Variable& x, std::int64_t axis_given, const Tensor& indices) {
  check_defined(kGather, {&x});
  check_defined(kGather, "indices", indices);
  const int axis = x.shape().normalize(axis_given, "gather");
  check(indices.rank() == x.rank() &&
            indices.shape().with_dim(axis, 0) == x.shape().with_dim(axis, 0),
        "gather", "indices {} must have the sizes of {} except along axis {}", indices.shape(),
        x.shape(), axis);
  check(!x.mask().defined() || axis >= 2, "gather",
        "would move the positions of the mask along axis {}; use index_select(), or drop_mask() on "
        "purpose",
        axis);
  return chosen(kGather, x, elements(kGather, x, axis, indices), x.mask(),
                {{"indices", indices}, {"axis", axis}});
}

}  // namespace maskgrad::ops
