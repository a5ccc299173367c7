// An operation and a layer made outside maskgrad: registered, differentiated, found by name, and
// checked as the operations of maskgrad are.
#include <cstdio>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/op_check.hpp>

using namespace maskgrad;

namespace {

Variable cube(const Variable& x);

const OpDef& kCube = register_op({
    .name = "cube",
    .summary = "x^3",
    .inputs = {{.name = "input", .reach = Reach::kElement, .gradient = Reads{"input"}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> { return {cube(call.input("input"))}; },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", ops::sample_uniform(r, {2, 3})}}}};
    },
});

// f(x_i, g_i) element by element, in x's dtype.
template <class F>
Tensor map(const Tensor& x, const Tensor& g, F f) {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  dispatch_dtype(FloatingTypes{}, x.dtype(), "cube", [&]<class T>(T) {
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      y.data<T>()[i] = f(x.data<T>()[i], g.data<T>()[i]);
    }
  });
  return y;
}

// dx = 3 x^2 g
Variable cube(const Variable& x) {
  const Tensor y = map(x.value(), x.value(), [](auto a, auto) { return a * a * a; });
  return record(kCube, {&x}, y,
                [x = Saved(kCube, "input", x.value())](const Tensor& g, Gradients& grads) {
                  grads.set(0, map(*x, g, [](auto a, auto d) { return 3 * a * a * d; }));
                });
}

struct CubedScale : Layer {
  explicit CubedScale(std::int64_t features = 2)
      : Layer("CubedScale", MaskRule::kKeeps),
        weight(parameter("weight", {features}, constant(2.0))) {}
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }
  Variable forward(const Variable& x, Pass&) override { return cube(ops::multiply(x, weight)); }
  Parameter& weight;
};

const LayerSample kSample = {"CubedScale",
                             [] { return std::make_unique<CubedScale>(LayerSample::kFeatures); }};

// What check_op, check_layer and check_mask_leaks complain about.
std::string complaints(CubedScale& layer, const ParameterBuffer& parameters) {
  std::string text;
  for (const std::string& line : check_op(kCube)) text += line + "\n";
  for (const std::string& line : check_layer(kSample)) text += line + "\n";
  const std::int64_t lengths[] = {1, 3};
  const Variable x(Tensor::full({2, 3, 2}, 1, DType::kFloat64), Variable::kConstant,
                   SequenceMask::from_lengths(lengths, 3));
  std::vector<NamedLeaf> leaves = parameters.leaves();
  leaves.push_back({"x", x});
  const LeakReport leaks =
      check_mask_leaks([&] { return ops::sum(ops::fill_masked(layer(x))); }, leaves);
  return leaks.holds() ? text : text + to_string(leaks);
}

}  // namespace

int main() {
  CubedScale layer;
  ParameterBuffer parameters(layer, DType::kFloat64, 0);
  const std::string wrong = complaints(layer, parameters);
  Tape tape;
  tape.backward(ops::sum(layer(Variable(Tensor::full({1, 2}, 1, DType::kFloat64)))));
  const double grad = layer.weight.variable().grad().data<double>()[1];
  const bool found = find_op("cube").has_gradient() && registry().contains("matmul");
  std::printf("gradient %g, registered %s\n%s", grad, found ? "yes" : "no", wrong.c_str());
  return grad == 12.0 && found && wrong.empty() ? 0 : 1;
}
