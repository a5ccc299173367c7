#include <iterator>
#include <utility>

#include <maskgrad/ops/cpu/gemm/row_products.hpp>
#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/ops/math/product_slots.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

using Pointers = std::span<const Variable* const>;

InputSpec x_input() { return {.name = "x", .reach = Reach::kByCall, .gradient = Reads{"weight"}}; }
InputSpec repeated_input(const char* name, Reads gradient) {
  return {.name = name, .reach = Reach::kByCall, .gradient = std::move(gradient), .repeated = true};
}

std::vector<const Variable*> pointers_to(const std::vector<Variable>& values) {
  std::vector<const Variable*> pointers;
  for (const Variable& value : values) pointers.push_back(&value);
  return pointers;
}

std::vector<OpSample> samples(Random& r, bool with_biases) {
  std::vector<OpSample> samples;
  for (const Shape& rows : {Shape{2, 3}, Shape{20, 2}, Shape{0, 2}, Shape{4}, Shape{}}) {
    OpSample sample = {{{"x", sample_uniform(r, rows.concat({5}))}}};
    for (const char* number : {"0", "1"}) {
      const std::string weight = "weight", bias = "bias";
      sample.inputs.emplace(weight + number, sample_uniform(r, {5, 4}));
      if (with_biases) sample.inputs.emplace(bias + number, sample_uniform(r, {4}));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

const OpDef& kStackedMatmul = register_op({
    .name = "stacked_matmul",
    .summary = "y[i] = x weight[i], the products stacked",
    .inputs = {x_input(), repeated_input("weight", Reads{"x"})},
    .mask_rule = MaskRule::kEnds,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const std::vector<Variable> weights = call.repeated("weight");
      return {stacked_matmul(call.input("x"), pointers_to(weights))};
    },
    .samples = [](Random& r) { return samples(r, false); },
});

const OpDef& kStackedLinear = register_op({
    .name = "stacked_linear",
    .summary = "y[i] = x weight[i] + bias[i], stacked",
    .inputs = {x_input(), repeated_input("weight", Reads{"x"}),
               repeated_input("bias", Reads::nothing())},
    .mask_rule = MaskRule::kEnds,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const std::vector<Variable> weights = call.repeated("weight"), biases = call.repeated("bias");
      return {stacked_linear(call.input("x"), pointers_to(weights), pointers_to(biases))};
    },
    .samples = [](Random& r) { return samples(r, true); },
});

void check_factor(const OpDef& op, const Variable& x, const char* name, std::size_t i,
                  const Variable* factor) {
  check(factor && factor->defined(), op.name.c_str(), "{} {} was used before it was given a value",
        name, i);
  check(!factor->mask().defined(), op.name.c_str(),
        "{} {} carries a mask; drop_mask() it on purpose", name, i);
  check_same_device(op.name.c_str(), x.value(), factor->value());
}

void check_weights(const OpDef& op, const Variable& x, Pointers weights) {
  const char* name = op.name.c_str();
  check(!weights.empty(), name, "needs one weight at least");
  for (std::size_t i = 0; i < weights.size(); ++i) {
    check_factor(op, x, "weight", i, weights[i]);
    const Variable &weight = *weights[i], &first = *weights[0];
    check(weight.rank() == 2 && weight.dim(0) == x.dim(-1) && weight.dtype() == x.dtype(), name,
          "x {} {} needs weights {} [{}, N], weight {} is {} {}", to_string(x.dtype()), x.shape(),
          to_string(x.dtype()), x.dim(-1), i, to_string(weight.dtype()), weight.shape());
    check(weight.shape() == first.shape(), name,
          "weights must have one shape: weight 0 is {}, weight {} is {}", first.shape(), i,
          weight.shape());
  }
}

void check_biases(const OpDef& op, const Variable& x, Pointers weights, Pointers biases) {
  const char* name = op.name.c_str();
  check(biases.size() == weights.size(), name, "needs a bias for each of {} weights, got {}",
        weights.size(), biases.size());
  const Shape shape = {weights[0]->dim(1)};
  const DType dtype = weights[0]->dtype();
  for (std::size_t i = 0; i < biases.size(); ++i) {
    check_factor(op, x, "bias", i, biases[i]);
    check(biases[i]->shape() == shape && biases[i]->dtype() == dtype, name,
          "needs biases {} {}, bias {} is {} {}", to_string(dtype), shape, i,
          to_string(biases[i]->dtype()), biases[i]->shape());
  }
}

void check_x(const OpDef& op, const Variable& x) {
  check_defined(op, {&x});
  check(x.rank() >= 1 && x.rank() < Shape::kMaxRank, op.name.c_str(),
        "x {} has no dimensions, or too many", x.shape());
  check(!x.mask().defined(), op.name.c_str(),
        "x {} carries a mask, for which the output [n, ...] has no place; fill_masked() it first",
        x.shape());
}

// Where the elements of each stand.
template <class T>
PoolVector<const T*> data_of(Pointers values) {
  PoolVector<const T*> data;
  data.reserve(values.size());
  for (const Variable* value : values) data.push_back(value->value().data<T>());
  return data;
}
template <class T>
PoolVector<const T*> data_of(const PoolVector<Saved>& values) {
  PoolVector<const T*> data;
  data.reserve(values.size());
  for (const Saved& value : values) data.push_back(value->data<T>());
  return data;
}
template <class T>
PoolVector<T*> data_of(PoolVector<Tensor>& tensors) {
  PoolVector<T*> data;
  for (Tensor& tensor : tensors) data.push_back(tensor.data<T>());
  return data;
}

// Calls f(T{}) for the dtype of x.
template <class F>
void dispatch(const OpDef& op, const Tensor& x, F f) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), op.name.c_str(), f);
}

// dx = sum_i g[i] weights[i]^T,  dweights[i] = x^T g[i],  dbiases[i] = sum of g[i]'s rows
class StackedRule {
 public:
  StackedRule(const OpDef& op, const RowsTimesEach& product, const Tensor& x, Pointers weights,
              bool has_biases)
      : op_(op), product_(product), x_(op, "x", x), has_biases_(has_biases) {
    weights_.reserve(weights.size());
    for (const Variable* weight : weights) weights_.emplace_back(op, "weight", weight->value());
  }

  void operator()(const Tensor& g, Gradients& grads) const {
    bool share = x_->device().type == DeviceType::kCpu && gradients_share_a_loop(product_) &&
                 grads.needed(0);
    for (std::size_t i = 0; i < weights_.size(); ++i) share &= grads.needed(weight(i));
    if (share) {
      set_of_products(g, grads);
    } else if (grads.needed(0)) {
      set_of_x(g, grads.buffer(0));
    }
    for (std::size_t i = 0; i < weights_.size(); ++i) set_of_factors(i, share, g, grads);
  }

  // A place of y[i] depends on its row of x, on its column of weight i, and on one place of bias i.
  Tensor reached(std::size_t input, const Tensor& marked, const Way& way) const {
    if (input == 0) return spread("...k->w...n", marked, way);
    const bool is_bias = has_biases_ && input % 2 == 0;
    const auto product = static_cast<std::int64_t>((input - 1) / each());
    const char* const signature = is_bias ? "n->...n" : "kn->...n";
    const Way own = {way.input, way.output.slice(1, way.output.rank()), way.back};
    if (way.back) return spread(signature, marked[product], own);
    Tensor places = Tensor::zeros(way.output, DType::kBool);
    places[product].copy_from(spread(signature, marked, own));
    return places;
  }

 private:
  // The numbers of recorded inputs: x, then each weight with its bias behind it.
  std::size_t each() const { return has_biases_ ? 2 : 1; }
  std::size_t weight(std::size_t i) const { return 1 + i * each(); }
  std::size_t bias(std::size_t i) const { return weight(i) + 1; }

  // Those of x and all weights in one loop, on the CPU.
  void set_of_products(const Tensor& g, Gradients& grads) const {
    Tensor dx = grads.buffer(0);
    PoolVector<Tensor> dw;
    for (std::size_t i = 0; i < weights_.size(); ++i) dw.push_back(grads.buffer(weight(i)));
    dispatch(op_, *x_, [&]<class T>(T) {
      multiply_both_gradients(product_, x_->data<T>(), data_of<T>(weights_).data(), g.data<T>(),
                              dx.data<T>(), data_of<T>(dw).data());
    });
  }
  void set_of_x(const Tensor& g, Tensor dx) const {
    const auto on_cpu = [&] {
      dispatch(op_, dx, [&]<class T>(T) {
        multiply_by_each_transposed(product_, g.data<T>(), data_of<T>(weights_).data(),
                                    dx.data<T>());
      });
    };
    dispatch_device(dx.device(), op_.name.c_str(), kStackedGradientCuda, on_cpu, product_, g,
                    weights_, dx);
  }

  // Those of weight i, unless it has one, and of bias i.
  void set_of_factors(std::size_t i, bool has_one, const Tensor& g, Gradients& grads) const {
    const bool of_weight = !has_one && grads.needed(weight(i)),
               of_bias = has_biases_ && grads.needed(bias(i));
    if (!of_weight && !of_bias) return;
    const Tensor of_product = g[static_cast<std::int64_t>(i)];
    const Tensor sums = of_bias ? grads.buffer(bias(i)) : Tensor();
    if (!of_weight) return sum_of_rows(product_, of_product, sums);
    Tensor dw = grads.buffer(weight(i));
    sum_outer_products(*x_, of_product, false, dw, sums);
  }

  const OpDef& op_;
  RowsTimesEach product_;
  Saved x_;
  PoolVector<Saved> weights_;
  bool has_biases_;
};

void no_gradient(const Tensor&, Gradients&) {}

// `biases` are none, or those of all.
Variable stacked(const OpDef& op, const Variable& x, Pointers weights, Pointers biases) {
  check_product_math(op.name.c_str(), x.dtype(), x.device());
  const RowsTimesEach product =
      rows_times_each(x.value(), std::ssize(weights), weights[0]->shape());
  const Shape shape = Shape{product.matrices}.concat(x.shape().with_dim(-1, product.n));
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const auto on_cpu = [&] {
    dispatch(op, x.value(), [&]<class T>(T) {
      const PoolVector<const T*> of_biases = data_of<T>(biases);
      multiply_by_each(product, x.value().data<T>(), data_of<T>(weights).data(),
                       of_biases.empty() ? nullptr : of_biases.data(), y.data<T>());
    });
  };
  if (biases.empty()) {
    dispatch_device(x.device(), kStackedMatmulCuda, on_cpu, product, x.value(), weights, y);
  } else {
    dispatch_device(x.device(), kStackedLinearCuda, on_cpu, product, x.value(), weights, biases, y);
  }
  PoolVector<const Variable*> inputs;
  inputs.reserve(1 + weights.size() + biases.size());
  inputs.push_back(&x);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    inputs.push_back(weights[i]);
    if (!biases.empty()) inputs.push_back(biases[i]);
  }
  // Where nothing records, as text is generated, what gradients would need is not held.
  if (!Tape::current()) return record(op, inputs, std::move(y), {}, no_gradient);
  return record(op, inputs, std::move(y), {},
                StackedRule(op, product, x.value(), weights, !biases.empty()));
}

}  // namespace

Variable stacked_matmul(const Variable& x, Pointers weights) {
  check_x(kStackedMatmul, x);
  check_weights(kStackedMatmul, x, weights);
  return stacked(kStackedMatmul, x, weights, {});
}

Variable stacked_matmul(const Variable& x, std::initializer_list<const Variable*> weights) {
  return stacked_matmul(x, std::span(weights.begin(), weights.size()));
}

Variable stacked_linear(const Variable& x, Pointers weights, Pointers biases) {
  check_x(kStackedLinear, x);
  check_weights(kStackedLinear, x, weights);
  check_biases(kStackedLinear, x, weights, biases);
  return stacked(kStackedLinear, x, weights, biases);
}

Variable stacked_linear(const Variable& x, std::initializer_list<const Variable*> weights,
                        std::initializer_list<const Variable*> biases) {
  return stacked_linear(x, std::span(weights.begin(), weights.size()),
                        std::span(biases.begin(), biases.size()));
}

}  // namespace maskgrad::ops
