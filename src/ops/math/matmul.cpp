#include <maskgrad/ops/cpu/gemm/gemm.hpp>
#include <maskgrad/ops/cpu/gemm/row_products.hpp>
#include <maskgrad/ops/math/broadcast_plan.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/ops/math/product_slots.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kMatmul = register_op({
    .name = "matmul",
    .summary = "a b, batched, either side transposed",
    .inputs = {{.name = "a", .reach = Reach::kByCall, .gradient = Reads{"b"}},
               {.name = "b", .reach = Reach::kByCall, .gradient = Reads{"a"}.outside_holes()}},
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
          add({20}, {});
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

void check_matrices(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  check(a.rank() >= 2 && b.rank() >= 2, "matmul", "needs matrices: a is {}, b is {}", a.shape(),
        b.shape());
  check(a.dtype() == b.dtype(), "matmul", "a is {}, b is {}, they must be the same",
        to_string(a.dtype()), to_string(b.dtype()));
  check(a.dim(ta ? -2 : -1) == b.dim(tb ? -1 : -2), "matmul",
        "inner dimensions must match: a is {}{}, b is {}{}", a.shape(), ta ? " transposed" : "",
        b.shape(), tb ? " transposed" : "");
}

Dims dims_of(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  check_matrices(a, b, ta, tb);
  const Shape a_batch = a.shape().slice(0, a.rank() - 2),
              b_batch = b.shape().slice(0, b.rank() - 2);
  return {a.dim(ta ? -1 : -2),
          b.dim(tb ? -2 : -1),
          a.dim(ta ? -2 : -1),
          a_batch,
          b_batch,
          broadcast("matmul", a_batch, b_batch)};
}

Tensor product(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  const Dims d = dims_of(a, b, ta, tb);
  check_product_math("matmul", a.dtype(), a.device());
  Tensor y = Tensor::empty(d.batch.concat({d.m, d.n}), a.dtype(), a.device());
  const MatrixProduct one = {.m = d.m, .n = d.n, .k = d.k, .transpose_a = ta, .transpose_b = tb};
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, a.dtype(), "matmul", [&]<class T>(T) {
      const auto multiply = [&, pa = a.data<T>(), pb = b.data<T>(), py = y.data<T>()](
                                std::int64_t ia, std::int64_t ib, std::int64_t iy) {
        multiply_matrices(one, pa + ia * d.m * d.k, pb + ib * d.k * d.n, py + iy * d.m * d.n);
      };
      if (d.a_batch == d.b_batch) {
        parallel_for(d.batch.numel(), least_for(d.m, d.n, d.k),
                     [&](std::int64_t i, std::int64_t end) {
                       for (; i < end; ++i) multiply(i, i, i);
                     });
      } else {
        BroadcastPlan("matmul", d.a_batch, d.b_batch).for_each_element(multiply);
      }
    });
  };
  dispatch_device(a.device(), kBatchedMatmulCuda, on_cpu, one,
                  Batches{d.a_batch, d.b_batch, d.batch}, a, b, y);
  return y;
}

// A place of the product depends on a row of op(a) and a column of op(b).
Tensor reached(std::size_t input, bool transposed, const Tensor& marked, const Way& way) {
  const Reach of_a = transposed ? "...ki->...ij" : "...ik->...ij";
  const Reach of_b = transposed ? "...jk->...ij" : "...kj->...ij";
  return spread(input == 0 ? of_a : of_b, marked, way);
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

// a [..., M, K] times one b [K, N] or its transpose: one large product of all rows.
Variable multiply_rows(const Variable& a, const Variable& b, bool transpose_b) {
  check_matrices(a.value(), b.value(), false, transpose_b);
  Tensor y = rows_times(a.value(), b.value(), transpose_b);
  auto rule = [tb = transpose_b, a = Saved(kMatmul, "a", a.value()),
               b = Saved(kMatmul, "b", b.value()),
               mask = a.mask()](const Tensor& g, Gradients& grads) {
    set_gradients(*a, mask, *b, tb, false, g, grads);
  };
  return record(kMatmul, {&a, &b}, std::move(y),
                with_reach(std::move(rule),
                           [=](std::size_t input, const Tensor& marked, const Way& way) {
                             return reached(input, input == 1 && transpose_b, marked, way);
                           }),
                {{"transpose_a", false}, {"transpose_b", transpose_b}});
}

}  // namespace

// y = A B with A = op(a), B = op(b):  dA = g B^T,  dB = A^T g,  each transposed back where op does.
Variable matmul(const Variable& a, const Variable& b, bool transpose_a, bool transpose_b) {
  check_defined(kMatmul, {&a, &b});
  check_masks(a, b, transpose_a);
  if (a.rank() >= 2 && b.rank() == 2 && !transpose_a) return multiply_rows(a, b, transpose_b);
  Tensor y = product(a.value(), b.value(), transpose_a, transpose_b);
  auto rule = [ta = transpose_a, tb = transpose_b, a = Saved(kMatmul, "a", a.value()),
               b = Saved(kMatmul, "b", b.value()),
               mask = a.mask()](const Tensor& g, Gradients& grads) {
    if (grads.needed(0)) grads.set(0, ta ? product(*b, g, tb, true) : product(g, *b, false, !tb));
    if (!grads.needed(1)) return;
    const Tensor kept = without_holes(*a, mask);
    grads.set(1, tb ? product(g, kept, true, ta) : product(kept, g, !ta, false));
  };
  return record(kMatmul, {&a, &b}, std::move(y),
                with_reach(std::move(rule),
                           [=](std::size_t input, const Tensor& marked, const Way& way) {
                             return reached(input, input == 0 ? transpose_a : transpose_b, marked,
                                            way);
                           }),
                {{"transpose_a", transpose_a}, {"transpose_b", transpose_b}});
}

}  // namespace maskgrad::ops
