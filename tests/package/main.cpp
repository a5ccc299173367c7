// An operation, written in xtensor, and a layer made outside maskgrad: registered, differentiated,
// found by name, and checked as the operations of maskgrad are.
#include <cstdio>

#include <xtensor/xmath.hpp>

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
#include <maskgrad/tensor/xtensor.hpp>

using namespace maskgrad;

namespace {

Variable signed_square(const Variable& x);

const OpDef& kSignedSquare = register_op({
    .name = "signed_square",
    .summary = "x |x|",
    .inputs = {{.name = "input", .reach = Reach::kElement, .gradient = Reads{"input"}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      return {signed_square(call.input("input"))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", ops::sample_uniform(r, {2, 3})}}}};
    },
});

// y = x |x|;  dx = 2 |x| g
Variable signed_square(const Variable& x) {
  const Tensor y = dispatch_dtype(FloatingTypes{}, x.dtype(), "signed_square", [&]<class T>(T) {
    const auto in = as_xtensor<T>(x.value());
    return from_xtensor(in * xt::abs(in));
  });
  return record(kSignedSquare, {&x}, y,
                [x = Saved(kSignedSquare, "input", x.value())](const Tensor& g, Gradients& grads) {
                  dispatch_dtype(FloatingTypes{}, g.dtype(), "signed_square", [&]<class T>(T) {
                    grads.set(0,
                              from_xtensor(T(2) * xt::abs(as_xtensor<T>(*x)) * as_xtensor<T>(g)));
                  });
                });
}

struct SquaredScale : Layer {
  explicit SquaredScale(std::int64_t features = 2)
      : Layer("SquaredScale", MaskRule::kKeeps),
        weight(parameter("weight", {features}, constant(2.0))) {}
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }
  Variable forward(const Variable& x, Pass&) override {
    return signed_square(ops::multiply(x, weight));
  }
  Parameter& weight;
};

const LayerSample kSample = {"SquaredScale",
                             [] { return std::make_unique<SquaredScale>(LayerSample::kFeatures); }};

// What check_op, check_layer and check_mask_leaks complain about.
std::string complaints(SquaredScale& layer, const ParameterBuffer& parameters) {
  std::string text;
  for (const std::string& line : check_op(kSignedSquare)) text += line + "\n";
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
  SquaredScale layer;
  ParameterBuffer parameters(layer, DType::kFloat64, 0);
  const std::string wrong = complaints(layer, parameters);
  Tape tape;
  tape.backward(ops::sum(layer(Variable(Tensor::full({1, 2}, 1, DType::kFloat64)))));
  const double grad = layer.weight.variable().grad().data<double>()[1];
  const bool found = find_op("signed_square").has_gradient() && registry().contains("matmul");
  std::printf("gradient %g, registered %s\n%s", grad, found ? "yes" : "no", wrong.c_str());
  return grad == 4.0 && found && wrong.empty() ? 0 : 1;
}
