#include <maskgrad/layers/feed_forward.hpp>
#include <maskgrad/layers/projection.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {

std::string_view to_string(Activation activation) {
  constexpr std::string_view kNames[] = {"relu", "gelu", "gelu_tanh", "silu",
                                         "tanh", "elu",  "sigmoid"};
  return kNames[static_cast<std::size_t>(activation)];
}

Activation activation_from_string(std::string_view name) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kGelu, Activation::kGeluTanh, Activation::kSilu,
        Activation::kTanh, Activation::kElu, Activation::kSigmoid}) {
    if (to_string(activation) == name) return activation;
  }
  fail("activation", "'{}' is not one of relu, gelu, gelu_tanh, silu, tanh, elu, sigmoid",
       shortened(name));
}

Variable apply(Activation activation, const Variable& x) {
  switch (activation) {
    case Activation::kRelu:
      return ops::relu(x);
    case Activation::kGelu:
      return ops::gelu(x);
    case Activation::kGeluTanh:
      return ops::gelu_tanh(x);
    case Activation::kSilu:
      return ops::silu(x);
    case Activation::kTanh:
      return ops::tanh(x);
    case Activation::kElu:
      return ops::elu(x);
    case Activation::kSigmoid:
      return ops::sigmoid(x);
  }
  fail("activation", "{} is none", static_cast<int>(activation));
}

FeedForward::FeedForward(std::int64_t features, std::int64_t hidden,
                         const FeedForwardOptions& options)
    : Layer("FeedForward", MaskRule::kKeeps), activation_(options.activation) {
  check(features > 0 && hidden > 0, "FeedForward",
        "needs features and hidden above 0, got {} and {}", features, hidden);
  const auto bias = [&](const char* name, std::int64_t size) {
    return options.bias ? &parameter(name, {size}, zeros()) : nullptr;
  };
  w1_ = &parameter("w1", {features, hidden}, glorot_uniform());
  b1_ = bias("b1", hidden);
  if (options.gated) {
    v_ = &parameter("v", {features, hidden}, glorot_uniform());
    c_ = bias("c", hidden);
  }
  w2_ = &parameter("w2", {hidden, features}, options.output);
  b2_ = bias("b2", features);
}

std::optional<ops::Work> FeedForward::row_work() const {
  const std::int64_t matrices = v_ ? 3 : 2;
  return ops::Work{.per_position = 3 * matrices * w1_->shape().numel()};
}

Variable FeedForward::forward(const Variable& x, Pass&) {
  Variable y;
  if (activation_ == Activation::kRelu && b1_) {
    y = ops::linear(x, *w1_, *b1_, ops::LinearActivation::kRelu);
  } else {
    y = apply(activation_, project(x, *w1_, b1_));
  }
  if (v_) y = ops::multiply(y, project(x, *v_, c_));
  return project(y, *w2_, b2_);
}

}  // namespace maskgrad
