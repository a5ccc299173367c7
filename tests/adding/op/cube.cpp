#include <maskgrad/ops/math/cube.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

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

// y_i = f(x_i...)
template <class F, class... X>
void map(F f, Tensor& y, const X&... x) {
  constexpr std::int64_t kLeast = 4096;  // elements that are worth a thread
  dispatch_dtype(FloatingTypes{}, y.dtype(), "cube", [&]<class T>(T) {
    T* const to = y.data<T>();
    parallel_for(y.numel(), kLeast, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = f(x.template data<T>()[i]...);
    });
  });
}

}  // namespace

// dx = 3 x^2 g
Variable cube(const Variable& x) {
  check_given(x.defined(), "cube", "input 'input'");
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const auto forward = [&] { map([](auto a) { return a * a * a; }, y, x.value()); };
  dispatch_device(x.device(), kCubeCuda, forward, x.value(), y);
  const auto rule = [x = Saved(kCube, "input", x.value())](const Tensor& g, Gradients& grads) {
    Tensor dx = grads.buffer(0);
    const auto backward = [&] { map([](auto a, auto dy) { return 3 * a * a * dy; }, dx, *x, g); };
    dispatch_device(g.device(), kCubeGradientCuda, backward, *x, g, dx);
  };
  return record(kCube, {&x}, std::move(y), rule);
}

}  // namespace maskgrad::ops
