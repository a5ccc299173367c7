#include <iterator>
#include <utility>

#include <maskgrad/ops/cpu/gemm/row_products.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kStackedMatmul = register_op({
    .name = "stacked_matmul",
    .summary = "y[i] = x weight[i], the products stacked",
    .inputs =
        {{.name = "x", .reach = Reach::kByCall, .gradient = Reads{"weight"}},
         {.name = "weight", .reach = Reach::kByCall, .gradient = Reads{"x"}, .repeated = true}},
    .mask_rule = MaskRule::kEnds,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const std::vector<Variable> given = call.repeated("weight");
      std::vector<const Variable*> weights;
      for (const Variable& weight : given) weights.push_back(&weight);
      return {stacked_matmul(call.input("x"), weights)};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Shape& rows : {Shape{2, 3}, Shape{20, 2}, Shape{0, 2}, Shape{4}, Shape{}}) {
        samples.push_back({{{"x", sample_uniform(r, rows.concat({5}))},
                            {"weight0", sample_uniform(r, {5, 4})},
                            {"weight1", sample_uniform(r, {5, 4})}}});
      }
      return samples;
    },
});

using Tensors = PoolVector<Tensor>;
using Weights = PoolVector<Saved>;

// Where the elements of each stand.
template <class T>
PoolVector<const T*> data_of(const Weights& weights) {
  PoolVector<const T*> data;
  for (const Saved& weight : weights) data.push_back(weight->data<T>());
  return data;
}
template <class T>
PoolVector<T*> data_of(Tensors& tensors) {
  PoolVector<T*> data;
  for (Tensor& tensor : tensors) data.push_back(tensor.data<T>());
  return data;
}

void check_inputs(const Variable& x, std::span<const Variable* const> weights) {
  const char* name = kStackedMatmul.name.c_str();
  check_defined(kStackedMatmul, {&x});
  check(!weights.empty(), name, "needs one weight at least");
  check(x.rank() >= 1 && x.rank() < Shape::kMaxRank, name, "x {} has no dimensions, or too many",
        x.shape());
  check(!x.mask().defined(), name,
        "x {} carries a mask, for which the output [n, ...] has no place; fill_masked() it first",
        x.shape());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    check(weights[i] && weights[i]->defined(), name,
          "weight {} was used before it was given a value", i);
    const Variable &weight = *weights[i], &first = *weights[0];
    check(weight.rank() == 2 && weight.dim(0) == x.dim(-1) && weight.dtype() == x.dtype(), name,
          "x {} {} needs weights {} [{}, N], weight {} is {} {}", to_string(x.dtype()), x.shape(),
          to_string(x.dtype()), x.dim(-1), i, to_string(weight.dtype()), weight.shape());
    check(weight.shape() == first.shape(), name,
          "weights must have one shape: weight 0 is {}, weight {} is {}", first.shape(), i,
          weight.shape());
    check(!weight.mask().defined(), name, "weight {} carries a mask; drop_mask() it on purpose", i);
  }
}

// Both gradients in one loop.
void set_both(const RowsTimesEach& product, const Tensor& x, const Weights& weights,
              const Tensor& g, Gradients& grads) {
  Tensor dx = grads.buffer(0);
  Tensors dw;
  for (std::size_t i = 0; i < weights.size(); ++i) dw.push_back(grads.buffer(i + 1));
  dispatch_device(x.device(), "stacked_matmul", [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "stacked_matmul", [&]<class T>(T) {
      multiply_both_gradients(product, x.data<T>(), data_of<T>(weights).data(), g.data<T>(),
                              dx.data<T>(), data_of<T>(dw).data());
    });
  });
}

void set_each(const RowsTimesEach& product, const Tensor& x, const Weights& weights,
              const Tensor& g, Gradients& grads) {
  if (grads.needed(0)) {
    Tensor dx = grads.buffer(0);
    dispatch_device(x.device(), "stacked_matmul", [&] {
      dispatch_dtype(FloatingTypes{}, x.dtype(), "stacked_matmul", [&]<class T>(T) {
        multiply_by_each_transposed(product, g.data<T>(), data_of<T>(weights).data(), dx.data<T>());
      });
    });
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!grads.needed(i + 1)) continue;
    Tensor dw = grads.buffer(i + 1);
    sum_outer_products(x, g[static_cast<std::int64_t>(i)], false, dw);
  }
}

// A place of y[i] depends on its row of x, and on its column of weight i.
Tensor reached(std::size_t input, const Tensor& marked, const Way& way) {
  if (input == 0) return spread("...k->w...n", marked, way);
  const auto product = static_cast<std::int64_t>(input) - 1;
  const Way own = {way.input, way.output.slice(1, way.output.rank()), way.back};
  if (way.back) return spread("kn->...n", marked[product], own);
  Tensor places = Tensor::zeros(way.output, DType::kBool);
  places[product].copy_from(spread("kn->...n", marked, own));
  return places;
}

}  // namespace

// dx = sum_i g[i] weights[i]^T,  dweights[i] = x^T g[i]
Variable stacked_matmul(const Variable& x, std::span<const Variable* const> given) {
  check_inputs(x, given);
  Weights weights;
  PoolVector<const Variable*> inputs = {&x};
  for (const Variable* weight : given) {
    weights.emplace_back(kStackedMatmul, "weight", weight->value());
    inputs.push_back(weight);
  }
  const RowsTimesEach product = rows_times_each(x.value(), std::ssize(weights), given[0]->shape());
  const Shape shape = Shape{product.matrices}.concat(x.shape().with_dim(-1, product.n));
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  dispatch_device(x.device(), "stacked_matmul", [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "stacked_matmul", [&]<class T>(T) {
      multiply_by_each(product, x.value().data<T>(), data_of<T>(weights).data(), y.data<T>());
    });
  });
  auto rule = [=, x = Saved(kStackedMatmul, "x", x.value())](const Tensor& g, Gradients& grads) {
    bool all = gradients_share_a_loop(product);
    for (std::size_t i = 0; i <= weights.size(); ++i) all &= grads.needed(i);
    if (all) {
      set_both(product, *x, weights, g, grads);
    } else {
      set_each(product, *x, weights, g, grads);
    }
  };
  return record(kStackedMatmul, inputs, std::move(y), {}, with_reach(std::move(rule), reached));
}

Variable stacked_matmul(const Variable& x, std::initializer_list<const Variable*> weights) {
  return stacked_matmul(x, std::span(weights.begin(), weights.size()));
}

}  // namespace maskgrad::ops
