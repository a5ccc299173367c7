#include <xtensor-blas/xblas.hpp>

#include <maskgrad/ops/expression.hpp>
#include <maskgrad/ops/matmul.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/mask_kernels.hpp>
#include <maskgrad/tensor/tape.hpp>

// OpenBLAS's own; weak, so that another BLAS links too.
extern "C" __attribute__((weak)) void openblas_set_num_threads(int count);

namespace maskgrad::ops {
namespace {

const OpDef& kMatmul = register_op({
    .name = "matmul",
    .summary = "a b, batched, either side transposed",
    .inputs = {{.name = "a", .reach = Reach::kByCall}, {.name = "b", .reach = Reach::kByCall}},
    .args = {{"transpose_a", false}, {"transpose_b", false}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {matmul(call.input("a"), call.input("b"), call.arg<bool>("transpose_a"),
                     call.arg<bool>("transpose_b"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const bool ta : {false, true}) {
        for (const bool tb : {false, true}) {
          const Shape a = ta ? Shape{3, 2} : Shape{2, 3}, b = tb ? Shape{4, 3} : Shape{3, 4};
          const auto add = [&](const Shape& a_lead, const Shape& b_lead) {
            samples.push_back({{{"a", sample_uniform(r, a_lead.concat(a))},
                                {"b", sample_uniform(r, b_lead.concat(b))}},
                               {{"transpose_a", ta}, {"transpose_b", tb}}});
          };
          add({}, {});
          add({5}, {});
          add({2, 3}, {2, 3});
          add({2, 1}, {3});
        }
      }
      return samples;
    },
});

// The sizes of one product op(a) op(b), and the shape of the batch of them.
struct Dims {
  std::int64_t m, n, k;
  Shape a_batch, b_batch, batch;
};

Dims dims_of(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  check(a.rank() >= 2 && b.rank() >= 2, "matmul", "needs matrices: a is {}, b is {}", a.shape(),
        b.shape());
  check(a.dtype() == b.dtype(), "matmul", "a is {}, b is {}, they must be the same",
        to_string(a.dtype()), to_string(b.dtype()));
  check(a.dim(ta ? -2 : -1) == b.dim(tb ? -1 : -2), "matmul",
        "inner dimensions must match: a is {}{}, b is {}{}", a.shape(), ta ? " transposed" : "",
        b.shape(), tb ? " transposed" : "");
  const Shape a_batch = a.shape().slice(0, a.rank() - 2),
              b_batch = b.shape().slice(0, b.rank() - 2);
  return {a.dim(ta ? -1 : -2),
          b.dim(tb ? -2 : -1),
          a.dim(ta ? -2 : -1),
          a_batch,
          b_batch,
          broadcast("matmul", a_batch, b_batch)};
}

// BLAS may use one thread only: with another number it adds in another order, and threads are ours.
void hold_blas_to_one_thread() {
  static const bool once = [] {
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(once);
}

template <class T>
void gemm(const Dims& d, bool ta, bool tb, const T* a, const T* b, T* y) {
  if (d.k == 0) {
    std::fill_n(y, d.m * d.n, T{});
    return;
  }
  auto out = as_rows(y, d.m, d.n);
  xt::blas::gemm(as_rows(a, ta ? d.k : d.m, ta ? d.m : d.k),
                 as_rows(b, tb ? d.n : d.k, tb ? d.k : d.n), out, ta, tb, T{1}, T{0});
}

// Writes op(a) op(b) into y, whose shape the caller has chosen to fit.
void product_into(const Tensor& a, const Tensor& b, bool ta, bool tb, Tensor& y) {
  const Dims d = dims_of(a, b, ta, tb);
  if (y.numel() == 0) return;
  dispatch_device(a.device(), "matmul", [&] {
    hold_blas_to_one_thread();
    dispatch_dtype(FloatingTypes{}, a.dtype(), "matmul", [&]<class T>(T) {
      const T *pa = a.data<T>(), *pb = b.data<T>();
      T* py = y.data<T>();
      if (d.a_batch == d.b_batch) {
        parallel_for(
            d.batch.numel(), chunk_for(d.m * d.n * d.k), [&](std::int64_t i, std::int64_t end) {
              for (; i < end; ++i)
                gemm(d, ta, tb, pa + i * d.m * d.k, pb + i * d.k * d.n, py + i * d.m * d.n);
            });
      } else {
        BroadcastPlan("matmul", d.a_batch, d.b_batch)
            .for_each_element([&](std::int64_t ia, std::int64_t ib, std::int64_t iy) {
              gemm(d, ta, tb, pa + ia * d.m * d.k, pb + ib * d.k * d.n, py + iy * d.m * d.n);
            });
      }
    });
  });
}

Tensor product(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  const Dims d = dims_of(a, b, ta, tb);
  Tensor y = Tensor::empty(d.batch.concat({d.m, d.n}), a.dtype(), a.device());
  product_into(a, b, ta, tb, y);
  return y;
}

// All leading dimensions in one: [..., M, K] -> [rows, K].
Tensor as_matrix(const Tensor& x) {
  const std::int64_t columns = x.dim(-1);
  return x.reshape(Shape{x.shape().slice(0, x.rank() - 1).numel(), columns});
}

// a with 0 in its holes: the gradient of b sums over the rows of a, and 0 * NaN is NaN.
Tensor with_zeros(const Tensor& a, const Shape& shape, const SequenceMask& mask) {
  return without_holes(a.reshape(shape), mask).reshape(a.shape());
}

// A place of the product depends on a row of op(a) and a column of op(b).
Tensor reached(std::size_t input, bool transposed, const Tensor& marked, const Shape& output) {
  std::array<int, Shape::kMaxRank> ties{};
  const int rank = marked.rank(), end = output.rank();
  for (int axis = 0; axis < rank; ++axis) ties[static_cast<std::size_t>(axis)] = axis + end - rank;
  const bool inner_is_last = (input == 0) != transposed;
  const int shared = input == 0 ? end - 2 : end - 1;
  ties[static_cast<std::size_t>(rank - 2)] = inner_is_last ? shared : kAlong;
  ties[static_cast<std::size_t>(rank - 1)] = inner_is_last ? kAlong : shared;
  return spread(ties, marked, output);
}

void check_masks(const Variable& a, const Variable& b, bool transpose_a) {
  check(!b.mask().defined(), "matmul",
        "b carries a mask; drop_mask() it, or use an attention layer");
  check(!a.mask().defined() || b.rank() <= a.rank(), "matmul",
        "b {} adds dimensions before the masked positions of a {}; drop_mask() it on purpose",
        b.shape(), a.shape());
  check(!a.mask().defined() || (a.rank() >= 3 && !(transpose_a && a.rank() == 3)), "matmul",
        "would sum over masked positions of a {}; drop_mask() it on purpose", a.shape());
}

}  // namespace

// y = A B with A = op(a), B = op(b):  dA = g B^T,  dB = A^T g,  each transposed back where op does.
Variable matmul(const Variable& a, const Variable& b, bool transpose_a, bool transpose_b) {
  check_masks(a, b, transpose_a);
  // Many rows times one matrix are one large product.
  const bool rows = b.rank() == 2 && a.rank() > 2 && !transpose_a;
  Tensor y;
  if (rows) {
    const Tensor flat = product(as_matrix(a.value()), b.value(), false, transpose_b);
    y = flat.reshape(a.shape().with_dim(-1, flat.dim(1)));
  } else {
    y = product(a.value(), b.value(), transpose_a, transpose_b);
  }
  const Shape shape = y.shape();
  return record(
      kMatmul, {&a, &b}, std::move(y),
      with_reach(
          [=, ta = transpose_a, tb = transpose_b, a = rows ? as_matrix(a.value()) : a.value(),
           b = b.value(), a_shape = a.shape(),
           mask = a.mask()](const Tensor& grad_output, Gradients& grads) {
            const Tensor g = rows ? as_matrix(grad_output) : grad_output;
            if (grads.needed(0)) {
              grads.set(0, rows ? product(g, b, false, !tb).reshape(a_shape)
                           : ta ? product(b, g, tb, true)
                                : product(g, b, false, !tb));
            }
            if (!grads.needed(1)) return;
            const Tensor kept = with_zeros(a, a_shape, mask);
            const Tensor &left = tb ? g : kept, &right = tb ? kept : g;
            const bool left_t = tb ? true : !ta, right_t = tb && ta;
            if (a.rank() == 2 && b.rank() == 2) {
              Tensor into = grads.buffer(1);
              product_into(left, right, left_t, right_t, into);
            } else {
              grads.set(1, product(left, right, left_t, right_t));
            }
          },
          [=](std::size_t input, const Tensor& marked) {
            return reached(input, input == 0 ? transpose_a : transpose_b, marked, shape);
          }));
}

}  // namespace maskgrad::ops
