#include <numeric>

#include <maskgrad/ops/embedding.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/ops/vector.hpp>
#include <maskgrad/tensor/mask_kernels.hpp>
#include <maskgrad/tensor/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kEmbedding = register_op({
    .name = "embedding",
    .summary = "rows of a table by token id",
    .inputs = {{.name = "weight", .reach = Reach::kByCall},
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

// Calls f(place, row of the table, or -1 where the token is masked) for each token.
template <class F>
void for_each_token(const Tensor& tokens, const SequenceMask& mask, std::int64_t vocabulary, F f) {
  const bool* keep = mask.defined() ? mask.bits().data<bool>() : nullptr;
  const std::int64_t per_position =
      keep ? tokens.numel() / std::max<std::int64_t>(1, mask.bits().numel()) : 1;
  dispatch_dtype(IntegerTypes{}, tokens.dtype(), "embedding", [&]<class T>(T) {
    const T* ids = tokens.data<T>();
    for (std::int64_t i = 0; i < tokens.numel(); ++i) {
      // A division takes longer than all the rest.
      if (keep && !keep[per_position == 1 ? i : i / per_position]) {
        f(i, std::int64_t{-1});
        continue;
      }
      check(ids[i] >= 0 && ids[i] < vocabulary, "embedding",
            "token {} at element {} of {} is outside the vocabulary of {}", ids[i], i,
            tokens.shape(), vocabulary);
      f(i, static_cast<std::int64_t>(ids[i]));
    }
  });
}

// Memory for the table's gradient, holding 0. Of a large table only the rows of these tokens are
// written, and the next pass clears no others; a small one is cleared faster than they are listed.
Tensor zeros_for(Gradients& grads, const Tensor& tokens, const SequenceMask& mask,
                 std::int64_t vocabulary) {
  if (tokens.numel() > vocabulary / 8) {
    Tensor table = grads.buffer(0);
    table.fill(0.0);
    return table;
  }
  PoolVector<std::int64_t> rows;
  rows.reserve(static_cast<std::size_t>(tokens.numel()));
  for_each_token(tokens, mask, vocabulary, [&](std::int64_t, std::int64_t row) {
    if (row >= 0) rows.push_back(row);
  });
  return grads.zeros(0, std::move(rows));
}

// A vector depends on its token, and on one row of the table, whichever it is; a masked token's
// vector on nothing.
Tensor reached(std::size_t input, const Tensor& marked, const Shape& output,
               const SequenceMask& mask) {
  std::array<int, Shape::kMaxRank> ties{};
  std::iota(ties.begin(), ties.end(), 0);
  const std::array<int, 2> of_weight = {kAlong, output.rank() - 1};
  return without_holes(
      input == 0 ? spread(of_weight, marked, output) : spread(ties, marked, output), mask);
}

}  // namespace

// dweight[v] = sum of g over the places that hold v, in their order
Variable embedding(const Variable& weight, const Variable& tokens) {
  check(weight.rank() == 2, "embedding", "the table must be [V, D], got {}", weight.shape());
  const std::int64_t vocabulary = weight.dim(0), features = weight.dim(1);
  Tensor y = Tensor::empty(tokens.shape().concat({features}), weight.dtype(), weight.device());
  dispatch_device(weight.device(), "embedding", [&] {
    dispatch_dtype(FloatingTypes{}, weight.dtype(), "embedding", [&]<class T>(T) {
      for_each_token(tokens.value(), tokens.mask(), vocabulary,
                     [features, table = weight.value().data<T>(), out = y.data<T>()](
                         std::int64_t place, std::int64_t row) {
                       if (row < 0) {
                         std::fill_n(out + place * features, features, T{});
                       } else {
                         copy_row(table + row * features, out + place * features, features);
                       }
                     });
    });
  });
  const Shape shape = y.shape();
  return record(
      kEmbedding, {&weight, &tokens}, std::move(y),
      with_reach(
          [=, ids = tokens.value(), mask = tokens.mask()](const Tensor& g, Gradients& grads) {
            Tensor dweight = zeros_for(grads, ids, mask, vocabulary);
            dispatch_dtype(FloatingTypes{}, g.dtype(), "embedding", [&]<class T>(T) {
              for_each_token(ids, mask, vocabulary,
                             [features, table = dweight.data<T>(), grad = g.data<T>()](
                                 std::int64_t place, std::int64_t row) {
                               if (row < 0) return;
                               add_row(grad + place * features, table + row * features, features);
                             });
            });
          },
          [=, mask = tokens.mask()](std::size_t input, const Tensor& marked) {
            return reached(input, marked, shape, mask);
          }));
}

}  // namespace maskgrad::ops
