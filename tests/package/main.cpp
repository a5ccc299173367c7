// Operations, one of them written in xtensor, and a layer made outside maskgrad: registered,
// differentiated, found by name, checked as those of maskgrad are, and trained in a folder.
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <xtensor/xmath.hpp>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/check/leaks.hpp>
#include <maskgrad/tensor/check/op_check.hpp>
#include <maskgrad/tensor/xtensor.hpp>
#include <maskgrad/train/run/run_paths.hpp>
#include <maskgrad/train/run/train_in_folder.hpp>

// The templates of tests/adding.
#include "cube.hpp"
#include "own_gelu.hpp"
#include "stretch.hpp"

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

const bool kRegistered =
    register_layer({"Stretch", [] { return std::make_unique<Stretch>(LayerSample::kFeatures); }});

Variable cubed(Stretch& layer, const Variable& x) { return ops::cube(layer(x)); }

// What check_op, check_layer and check_mask_leaks complain about.
std::string complaints(Stretch& layer, const ParameterBuffer& parameters) {
  std::string text;
  for (const char* op : {"signed_square", "cube", "own_gelu"}) {
    for (const std::string& line : check_op(find_op(op))) text += line + "\n";
  }
  for (const LayerSample& sample : layer_samples()) {
    for (const std::string& line : check_layer(sample)) text += line + "\n";
  }
  const std::int64_t lengths[] = {1, 3};
  const Variable x(Tensor::full({2, 3, 2}, 1, DType::kFloat64), Variable::kConstant,
                   SequenceMask::from_lengths(lengths, 3));
  std::vector<NamedLeaf> leaves = parameters.leaves();
  leaves.push_back({"x", x});
  const LeakReport leaks =
      check_mask_leaks([&] { return ops::sum(ops::fill_masked(cubed(layer, x))); }, leaves);
  return leaks.holds() ? text : text + to_string(leaks);
}

// own_gelu() is the operation of the library but for rounding.
bool own_gelu_is_gelu() {
  Random random(1);
  const Variable x(ops::sample_uniform(random, {1000}));
  const Tensor own = own_gelu(x).value(), theirs = ops::gelu_tanh(x).value();
  for (std::size_t i = 0; i < 1000; ++i) {
    if (std::abs(own.values<double>()[i] - theirs.values<double>()[i]) > 1e-14) return false;
  }
  return true;
}

// Samples of two numbers. Whose sum of cubes, scaled, is to be as small as can be?
struct Ones : Dataset {
  std::int64_t size() const override { return 8; }
  Batch collate(std::span<const std::int64_t> ids) const override {
    const auto count = static_cast<std::int64_t>(ids.size());
    return {.inputs = Tensor::full({count, 2}, 1, DType::kFloat32), .targets = {}, .ids = {}};
  }
};

// Two epochs in `folder`, then a third by a second call. Returns how the loss went.
std::vector<double> train(const std::filesystem::path& folder) {
  Stretch layer(2);
  std::vector<double> losses;
  const auto loss = [&](const Batch& batch, Pass& pass) -> ModelOutput {
    return ops::SumCount{ops::sum(ops::cube(layer(Variable(batch.inputs), pass))), batch.size()};
  };
  for (const std::int64_t epochs : {2, 3}) {
    const RunEnd end = train_in_folder(
        layer, loss, Ones(), {.folder = folder, .resume = true, .epochs = epochs, .batch_size = 4});
    losses.push_back(end.totals.front().mean());
  }
  return losses;
}

bool trains(const std::filesystem::path& folder) {
  std::filesystem::remove_all(folder);
  const std::vector<double> losses = train(folder);
  return losses[1] < losses[0] && losses[0] < 2 && RunPaths(folder).has_ended();
}

}  // namespace

int main(int, char** arguments) {
  Stretch layer(2);
  ParameterBuffer parameters(layer, DType::kFloat64, 0);
  const std::string wrong = complaints(layer, parameters);
  parameters.clear_gradients();
  Tape tape;
  tape.backward(ops::sum(cubed(layer, Variable(Tensor::full({1, 2}, 2, DType::kFloat64)))));
  const Tensor grad = parameters.gradients();
  const double found = grad.data<double>()[1];  // 3 x^3
  const bool knows = find_op("cube").has_gradient() && registry().contains("matmul") &&
                     layer_samples().size() == 1;
  std::printf("gradient %g, registered %s\n%s", found, knows ? "yes" : "no", wrong.c_str());
  return found == 24.0 && knows && wrong.empty() && own_gelu_is_gelu() && trains(arguments[1]) ? 0
                                                                                               : 1;
}
