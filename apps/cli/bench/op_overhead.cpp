// The benchmark op-overhead.
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "cli/bench/benchmarks.hpp"

namespace maskgrad::apps {

std::vector<Result> bench_op_overhead() {
  constexpr int kOps = 1000;
  const Variable x(Tensor::zeros({}, DType::kFloat32), Variable::kRequiresGrad);
  const auto forward = [&] {
    Variable y = x;
    for (int i = 0; i < kOps; ++i) y = ops::add(y, x);
    return y;
  };
  const Result recorded = measure("op", "forward_ns", 1e9, kOps, [&] {
    const Tape tape;
    forward();
  });
  const Result both = measure("op", "forward_backward_ns", 1e9, kOps, [&] {
    Tape tape;
    tape.backward(forward());
  });
  return {recorded, both};
}

}  // namespace maskgrad::apps
