#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/samples/sample.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kDropout = register_op({
    .name = "dropout",
    .summary = "elements left out at random, the others scaled up",
    .inputs = {{.name = "input", .reach = Reach::kByCall, .gradient = Reads::nothing()}},
    .args = {{"p", 0.5}, {"seed", std::int64_t{0}}},
    .mask_rule = MaskRule::kKeeps,
    .call = [](const OpCall& call) -> std::vector<Variable> {
      const auto seed = static_cast<std::uint64_t>(call.arg<std::int64_t>("seed"));
      return {
          dropout(call.input("input"), call.arg<double>("p"), Random(seed, stream_of("dropout")))};
    },
    .samples = [](Random& r) -> std::vector<OpSample> {
      return {{{{"input", sample_uniform(r, {2, 3, 4})}}},
              {{{"input", sample_uniform(r, {2, 5})}}, {{"p", 0.2}, {"seed", std::int64_t{3}}}},
              {{{"input", sample_uniform(r, {0})}}}};
    },
});

// Selected: a NaN that is dropped is gone.
Tensor keep_scaled(const Tensor& x, const Tensor& keep, double factor) {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  dispatch_device(x.device(), "dropout", [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "dropout", [&]<class T>(T) {
      const T *in = x.data<T>(), times = static_cast<T>(factor);
      const bool* kept = keep.data<bool>();
      T* out = y.data<T>();
      for (std::int64_t i = 0; i < y.numel(); ++i) out[i] = kept[i] ? in[i] * times : T{};
    });
  });
  return y;
}

}  // namespace

Variable dropout(const Variable& x, double p, Random random) {
  check_defined(kDropout, {&x});
  check(p >= 0 && p < 1, "dropout", "p must be at least 0 and below 1, got {}", p);
  if (p == 0) return x;
  Tensor keep = Tensor::empty(x.shape(), DType::kBool);
  std::generate_n(keep.data<bool>(), keep.numel(), [&] { return random.uniform() >= p; });
  const double factor = 1 / (1 - p);
  return record(
      kDropout, {&x}, keep_scaled(x.value(), keep, factor),
      with_reach(
          [=](const Tensor& g, Gradients& grads) { grads.set(0, keep_scaled(g, keep, factor)); },
          [keep](std::size_t, const Tensor& marked, const Way&) { return both(marked, keep); }));
}

}  // namespace maskgrad::ops
