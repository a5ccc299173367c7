// An operation and a layer made outside maskgrad: registered, differentiated, and found by name.
#include <cstdio>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/reduce.hpp>
#include <maskgrad/ops/sample.hpp>
#include <maskgrad/tensor/tape.hpp>

using namespace maskgrad;

namespace {

Variable cube(const Variable& x);

const OpDef& kCube = register_op({
    .name = "cube",
    .summary = "x^3",
    .inputs = {{.name = "input", .reach = Reach::kElement}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> { return {cube(call.input("input"))}; },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", ops::sample_uniform(r, {2, 3})}}}};
    },
});

// dx = 3 x^2 g
Variable cube(const Variable& x) {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  const auto* in = x.value().data<double>();
  for (std::int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = in[i] * in[i] * in[i];
  return record(kCube, {&x}, y, [x = x.value()](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    for (std::int64_t i = 0; i < dx.numel(); ++i) {
      const double a = x.data<double>()[i];
      dx.data<double>()[i] = 3 * a * a * g.data<double>()[i];
    }
  });
}

struct CubedScale : Layer {
  CubedScale() : Layer("CubedScale", MaskRule::kKeeps), weight(parameter("weight", {2}, constant(2.0))) {}
  Variable forward(const Variable&) override { return cube(weight); }
  Parameter& weight;
};

}  // namespace

int main() {
  CubedScale layer;
  ParameterBuffer parameters(layer, DType::kFloat64, 0);
  Tape tape;
  tape.backward(ops::sum(layer(Variable(Tensor::zeros({1}, DType::kFloat64)))));
  const double grad = layer.weight.variable().grad().data<double>()[1];
  const bool found = find_op("cube").has_gradient() && registry().contains("matmul");
  std::printf("gradient %g, registered %s\n", grad, found ? "yes" : "no");
  return grad == 12.0 && found ? 0 : 1;
}
