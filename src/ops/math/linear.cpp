#include <maskgrad/ops/cpu/gemm/row_products.hpp>
#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/rules.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kLinear = register_op({
    .name = "linear",
    .summary = "x weight + bias, and max(., 0) with relu",
    .inputs = {{.name = "x", .reach = "...k->...n", .gradient = Reads{"weight"}},
               {.name = "weight", .reach = "kn->...n", .gradient = Reads{"x"}.outside_holes()},
               {.name = "bias", .reach = "n->...n", .gradient = Reads::nothing()}},
    .args = {{"relu", false}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {linear(call.input("x"), call.input("weight"), call.input("bias"),
                     call.arg<bool>("relu") ? LinearActivation::kRelu : LinearActivation::kNone)};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      std::vector<OpSample> samples;
      for (const Shape& rows : {Shape{2}, Shape{7}, Shape{2, 3}, Shape{20, 2}, Shape{0}, Shape{}}) {
        samples.push_back({{{"x", sample_uniform(r, rows.concat({5}))},
                            {"weight", sample_uniform(r, {5, 4})},
                            {"bias", sample_uniform(r, {4})}},
                           {{"relu", samples.size() % 2 == 0}}});
      }
      return samples;
    },
});

void check_inputs(const Variable& x, const Variable& weight, const Variable& bias) {
  check(weight.rank() == 2 && bias.rank() == 1 && bias.dim(0) == weight.dim(1), "linear",
        "needs a weight [I, O] and a bias [O], got {} and {}", weight.shape(), bias.shape());
  check(x.rank() >= 1 && x.dim(-1) == weight.dim(0), "linear",
        "inner dimensions must match: x is {}, weight {}", x.shape(), weight.shape());
  check(x.dtype() == weight.dtype() && x.dtype() == bias.dtype(), "linear",
        "x is {}, weight {}, bias {}: they must be the same", to_string(x.dtype()),
        to_string(weight.dtype()), to_string(bias.dtype()));
  check(!weight.mask().defined() && !bias.mask().defined(), "linear",
        "weight and bias take no mask; drop_mask() it on purpose");
  check(!x.mask().defined() || x.rank() > 2, "linear",
        "would sum over masked positions of x {}; drop_mask() it on purpose", x.shape());
}

// The gradient of relu, in the memory of g if nobody else holds it.
Tensor through_relu(Tensor g, const Tensor& y) {
  Tensor h = g.is_exclusive() ? g : Tensor::empty(g.shape(), g.dtype(), g.device());
  map_into("linear", functors::GradientOf<functors::Relu>(), h, y, g);
  return h;
}

void no_gradient(const Tensor&, Gradients&) {}

}  // namespace

// h = 0 where y <= 0 with relu, else g:  dx = h weight^T,  dweight = x^T h,  dbias = sum of h's
// rows
Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                LinearActivation activation) {
  check_defined(kLinear, {&x, &weight, &bias});
  check_inputs(x, weight, bias);
  const bool relu = activation == LinearActivation::kRelu;
  const Tensor y = rows_times(x.value(), weight.value(), false, bias.value(), relu);
  // Where nothing records, as text is generated, what gradients would need is not held.
  if (!Tape::current()) return record(kLinear, {&x, &weight, &bias}, y, no_gradient);
  Saved output;
  if (relu) output = Saved(kLinear, "output", y);
  auto rule = [=, x = Saved(kLinear, "x", x.value()), w = Saved(kLinear, "weight", weight.value()),
               mask = x.mask()](Tensor g, Gradients& grads) {
    const Tensor h = relu ? through_relu(std::move(g), *output) : g;
    set_gradients(*x, mask, *w, false, true, h, grads);
  };
  return record(kLinear, {&x, &weight, &bias}, y, std::move(rule), {{"relu", relu}});
}

}  // namespace maskgrad::ops
