#include <maskgrad/layers/gates/softmax_gate.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad {
namespace {

Shape checked_shape(std::int64_t features, std::int64_t candidates) {
  check_sizes("SoftmaxGate", "features and candidates", features, candidates);
  return {features, candidates};
}

}  // namespace

SoftmaxGate::SoftmaxGate(std::int64_t features, std::int64_t candidates)
    : Layer("SoftmaxGate", MaskRule::kKeeps),
      w_(parameter("w", checked_shape(features, candidates), glorot_uniform())) {}

Variable SoftmaxGate::shares(const Variable& x, const Tensor& open) const {
  const Scope scope(name());
  check_given(x.defined(), "SoftmaxGate", "its input");
  return computed(x, open);
}

// g, without the checks of a call.
Variable SoftmaxGate::computed(const Variable& x, const Tensor& open) const {
  check_features(kind(), x, w_.shape()[0]);
  const Variable logits = ops::matmul(x, w_);
  return open.defined() ? ops::masked_softmax(logits, open) : ops::softmax(logits);
}

void SoftmaxGate::check_values(const Variable& x, const Variable& values) const {
  const Shape expected = x.shape().with_dim(-1, w_.shape()[1]);
  check(values.rank() == x.rank() + 1 && values.shape().starts_with(expected), "SoftmaxGate",
        "{} are no values for shares {}", values.shape(), expected);
  check_mask_of_value("SoftmaxGate", x, values);
}

Variable SoftmaxGate::mix(const Variable& x, const Variable& values, Pass& pass,
                          const Tensor& open) const {
  check_given(values.defined(), "SoftmaxGate", "values");
  return checked(x, pass, [&] {
    const Variable g = computed(x, open);
    check_values(x, values);
    // 0 times a value that is Inf would be NaN, so a closed one is set to 0.
    const Variable taken =
        open.defined() ? ops::keep_where(values, open.reshape(open.shape().concat({1}))) : values;
    const Variable column = ops::reshape(g, g.shape().concat({1}).dims());
    return ops::sum(ops::multiply(column, taken), {-2});
  });
}

std::optional<ops::Work> SoftmaxGate::row_work() const {
  return ops::Work{.per_position = 3 * w_.shape().numel()};
}

Variable SoftmaxGate::forward(const Variable& x, Pass&) { return computed(x, {}); }

}  // namespace maskgrad
