#include <algorithm>
#include <iterator>
#include <string>

#include <maskgrad/layers/activation.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/tensor/shortened.hpp>

namespace maskgrad {
namespace {

struct Named {
  Activation activation;
  std::string_view name;
  Variable (*apply)(const Variable& x);
};

constexpr Named kActivations[] = {
    {Activation::kRelu, "relu", ops::relu},
    {Activation::kGelu, "gelu", ops::gelu},
    {Activation::kGeluTanh, "gelu_tanh", ops::gelu_tanh},
    {Activation::kSilu, "silu", ops::silu},
    {Activation::kTanh, "tanh", ops::tanh},
    {Activation::kElu, "elu", [](const Variable& x) { return ops::elu(x); }},
    {Activation::kSigmoid, "sigmoid", ops::sigmoid},
};

const Named& named(Activation activation) {
  const auto found = std::find_if(std::begin(kActivations), std::end(kActivations),
                                  [&](const Named& one) { return one.activation == activation; });
  check(found != std::end(kActivations), "activation", "{} is none", static_cast<int>(activation));
  return *found;
}

// "relu, gelu, ...".
std::string names() {
  std::string all;
  for (const Named& one : kActivations) {
    if (!all.empty()) all += ", ";
    all += one.name;
  }
  return all;
}

}  // namespace

std::string_view to_string(Activation activation) { return named(activation).name; }

Activation activation_from_string(std::string_view name) {
  for (const Named& one : kActivations) {
    if (one.name == name) return one.activation;
  }
  fail("activation", "'{}' is not one of {}", shortened(name), names());
}

Variable apply(Activation activation, const Variable& x) { return named(activation).apply(x); }

}  // namespace maskgrad
