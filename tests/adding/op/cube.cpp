#include <maskgrad/ops/elements/map.hpp>
#include <maskgrad/ops/math/cube.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kCube = register_op({
    .name = "cube",
    .summary = "x^3",
    .inputs = {{.name = "input", .reach = Reach::kElement, .gradient = Reads{"input"}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> { return {cube(call.input("input"))}; },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}}}, {{{"input", sample_uniform(r, {})}}}};
    },
});

}  // namespace

// dx = 3 x^2 g
Variable cube(const Variable& x) {
  check_given(x.defined(), "cube", "input 'input'");
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const auto value = [](auto a) { return a * a * a; };
  const auto forward = [&] { map_each_into("cube", y, value, x.value()); };
  dispatch_device(x.device(), kCubeCuda, forward, x.value(), y);
  const auto rule = [x = Saved(kCube, "input", x.value())](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const auto slope = [](auto a, auto dy) { return 3 * a * a * dy; };
    const auto backward = [&] { map_each_into("cube", dx, slope, *x, g); };
    dispatch_device(g.device(), kCubeGradientCuda, backward, *x, g, dx);
  };
  return record(kCube, {&x}, std::move(y), rule);
}

}  // namespace maskgrad::ops
