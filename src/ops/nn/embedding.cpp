#include <algorithm>
#include <atomic>
#include <iterator>

#include <maskgrad/ops/cpu/rows/occurrences.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kEmbedding = register_op({
    .name = "embedding",
    .summary = "rows of a table by token id",
    .inputs = {{.name = "weight", .reach = Reach::kByCall, .gradient = Reads::nothing()},
               {.name = "tokens",
                .reach = Reach::kByCall,
                .dtypes = DTypes::kInteger,
                .differentiable = false}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {embedding(call.input("weight"), call.input("tokens"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"weight", sample_uniform(r, {6, 3})}, {"tokens", sample_indices(r, {2, 4}, 6)}}},
              {{{"weight", sample_uniform(r, {2, 1})}, {"tokens", sample_indices(r, {}, 2)}}},
              {{{"weight", sample_uniform(r, {2, 3})}, {"tokens", sample_indices(r, {0}, 2)}}}};
    },
});

using TableRows = PoolVector<std::int64_t>;

// Tokens, and which of them exist.
template <class Id>
struct Tokens {
  const Id* ids;
  const bool* keep;           // nullptr: all exist
  std::int64_t per_position;  // tokens that share a bit

  bool exists(std::int64_t i) const { return !keep || keep[i / per_position]; }
};

template <class Id>
Tokens<Id> tokens_of(const Tensor& tokens, const SequenceMask& mask) {
  if (!mask.defined()) return {tokens.data<Id>(), nullptr, 1};
  const std::int64_t positions = std::max<std::int64_t>(1, mask.bits().numel());
  return {tokens.data<Id>(), mask.bits().data<bool>(), tokens.numel() / positions};
}

// Writes the row of the table for tokens [begin, end), -1 where one does not exist; false when one
// is outside the vocabulary. All at once, without a branch each.
template <class Id>
bool read_rows(const Tokens<Id>& tokens, std::int64_t begin, std::int64_t end,
               std::int64_t vocabulary, std::int64_t* rows) {
  const auto size = static_cast<std::uint64_t>(vocabulary);
  std::uint64_t outside = 0;
  const auto read = [&](std::int64_t i, bool exists) {
    const auto id = static_cast<std::uint64_t>(static_cast<std::int64_t>(tokens.ids[i]));
    const std::uint64_t nothing = std::uint64_t{exists} - 1;  // all bits where it does not
    outside |= std::uint64_t{id >= size} & ~nothing;
    rows[i] = static_cast<std::int64_t>(id | nothing);
  };
  // A loop for each case: a division takes longer than all the rest.
  if (!tokens.keep) {
    for (std::int64_t i = begin; i < end; ++i) read(i, true);
  } else if (tokens.per_position == 1) {
    for (std::int64_t i = begin; i < end; ++i) read(i, tokens.keep[i]);
  } else {
    for (std::int64_t i = begin; i < end; ++i) read(i, tokens.exists(i));
  }
  return outside == 0;
}

template <class Id>
[[noreturn]] void refuse_first_outside(const Tokens<Id>& tokens, const Shape& shape,
                                       std::int64_t vocabulary) {
  std::int64_t i = 0;
  while (!tokens.exists(i) || (tokens.ids[i] >= 0 && tokens.ids[i] < vocabulary)) ++i;
  fail("embedding", "token {} at element {} of {} is outside the vocabulary of {}", tokens.ids[i],
       i, shape, vocabulary);
}

// out[i] = table[rows[i]], 0 where there is none, for rows [begin, end)
template <class T>
void take_vectors(const TableRows& rows, std::int64_t begin, std::int64_t end, const T* table,
                  std::int64_t features, T* out) {
  const std::int64_t *row = rows.data() + begin, *const last = rows.data() + end;
  for (T* to = out + begin * features; row != last;) {
    // Neighbours without one, as padding is, at once.
    const std::int64_t* const next = std::find_if(row, last, [](std::int64_t r) { return r >= 0; });
    to = std::fill_n(to, (next - row) * features, T{});
    for (row = next; row != last && *row >= 0; ++row, to += features) {
      copy_row(table + *row * features, to, features);
    }
  }
}

// The rows of the table that tokens take. Calls take(rows, begin, end) for parts of them.
template <class Take>
TableRows rows_of(const Variable& tokens, std::int64_t vocabulary, std::int64_t features,
                  Take take) {
  TableRows rows(static_cast<std::size_t>(tokens.shape().numel()));
  dispatch_dtype(IntegerTypes{}, tokens.dtype(), "embedding", [&]<class Id>(Id) {
    const Tokens<Id> read = tokens_of<Id>(tokens.value(), tokens.mask());
    std::atomic<bool> fit = true;
    parallel_for(std::ssize(rows), least_for(4 * features), [&](std::int64_t i, std::int64_t end) {
      if (read_rows(read, i, end, vocabulary, rows.data())) {
        take(rows, i, end);
      } else {
        fit = false;
      }
    });
    if (!fit) refuse_first_outside(read, tokens.shape(), vocabulary);
  });
  return rows;
}

// y[i] = table[tokens[i]], 0 where it is masked; returns the rows of the table.
TableRows look_up(const Variable& tokens, const Tensor& table, Tensor& y) {
  const std::int64_t vocabulary = table.dim(0), features = table.dim(1);
  TableRows rows;
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, table.dtype(), "embedding", [&]<class T>(T) {
      T* const to = y.data<T>();
      rows = rows_of(tokens, vocabulary, features, [&](const TableRows& read, auto i, auto end) {
        take_vectors(read, i, end, table.data<T>(), features, to);
      });
    });
  };
  if (table.device().type != DeviceType::kCpu) {
    rows = rows_of(tokens, vocabulary, 1, [](const TableRows&, auto, auto) {});
  }
  dispatch_device(table.device(), kTakeRowsCuda, on_cpu, std::span<const std::int64_t>(rows), table,
                  y);
  return rows;
}

// Memory for the table's gradient, holding 0. Of a large table only these rows are written, and the
// next pass clears no others; a small one is cleared faster than they are listed.
Tensor zeros_for(Gradients& grads, const TableRows& rows, std::int64_t vocabulary) {
  if (std::ssize(rows) > vocabulary / 8) {
    Tensor table = grads.buffer(0);
    table.fill(0.0);
    return table;
  }
  TableRows kept(rows.size());
  kept.erase(
      std::copy_if(rows.begin(), rows.end(), kept.begin(), [](auto row) { return row >= 0; }),
      kept.end());
  return grads.zeros(0, std::move(kept));
}

// dweight[v] = sum of g over the places that hold v
void sum_vectors(const TableRows& rows, std::int64_t vocabulary, const Tensor& g,
                 Gradients& grads) {
  Tensor table = zeros_for(grads, rows, vocabulary);
  const std::span<const std::int64_t> taken(rows);
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, g.dtype(), "embedding", [&]<class T>(T) {
      sum_taken(taken, g.data<T>(), g.dim(-1), vocabulary, table.data<T>());
    });
  };
  dispatch_device(g.device(), kSumTakenCuda, on_cpu, taken, g, table);
}

// A vector depends on its token, and on one row of the table, whichever it is; a masked token's
// vector on nothing.
Tensor reached(std::size_t input, const Tensor& marked, const Way& way, const SequenceMask& mask) {
  const Reach reach = input == 0 ? "vd->...d" : "...->...d";
  return way.back ? spread(reach, without_holes(marked, mask), way)
                  : without_holes(spread(reach, marked, way), mask);
}

}  // namespace

// dweight[v] = sum of g over the places that hold v
Variable embedding(const Variable& weight, const Variable& tokens) {
  check_defined(kEmbedding, {&weight, &tokens});
  check(weight.rank() == 2, "embedding", "the table must be [V, D], got {}", weight.shape());
  check(!weight.mask().defined(), "embedding",
        "the table takes no mask; drop_mask() it on purpose");
  const std::int64_t vocabulary = weight.dim(0), features = weight.dim(1);
  Tensor y = Tensor::empty(tokens.shape().concat({features}), weight.dtype(), weight.device());
  TableRows rows = look_up(tokens, weight.value(), y);
  return record(
      kEmbedding, {&weight, &tokens}, std::move(y),
      with_reach(
          [=, rows = std::move(rows)](const Tensor& g, Gradients& grads) {
            sum_vectors(rows, vocabulary, g, grads);
          },
          [mask = tokens.mask()](std::size_t input, const Tensor& marked, const Way& way) {
            return reached(input, marked, way, mask);
          }));
}

}  // namespace maskgrad::ops
