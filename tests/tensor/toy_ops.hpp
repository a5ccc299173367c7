// A few operations in float64, written for the tests of the tape: loops and nothing else.
#pragma once

#include <maskgrad/tensor/autograd/record.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

inline OpDef toy(const char* name, MaskRule rule) {
  OpDef op;
  op.name = name;
  op.inputs = {{.name = "a", .reach = Reach::kElement}, {.name = "b", .reach = Reach::kElement}};
  op.mask_rule = rule;
  return op;
}

// Nodes refer to the description of their operation, so these live as long as the program.
inline const OpDef kToyProduct = toy("product", MaskRule::kKeeps);
inline const OpDef kToySum = toy("total", MaskRule::kUses);
inline const OpDef kToyRule = toy("toy", MaskRule::kKeeps);

template <class F>
Tensor elementwise(const Tensor& like, F f) {
  Tensor y = Tensor::empty(like.shape(), DType::kFloat64);
  for (std::int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = f(i);
  return y;
}

/// y = a b, the shape of b being a's or the end of it. db comes in a's shape: the tape sums it.
inline Variable product(const Variable& a, const Variable& b) {
  const auto times = [](const Tensor& x, const Tensor& z) {
    return elementwise(
        x, [&](std::int64_t i) { return x.data<double>()[i] * z.data<double>()[i % z.numel()]; });
  };
  return record(kToyProduct, {&a, &b}, times(a.value(), b.value()),
                [=, a = Saved(kToyProduct, "a", a.value()), b = Saved(kToyProduct, "b", b.value())](
                    const Tensor& g, Gradients& grads) {
                  if (grads.needed(0)) grads.set(0, times(g, *b));
                  if (grads.needed(1)) grads.set(1, times(g, *a));
                });
}

/// y = sum of x over the positions its mask keeps.
inline Variable total(const Variable& x) {
  Tensor kept = x.value().clone();
  if (x.mask().defined()) fill_holes(kept, x.mask(), 0);
  double sum = 0;
  for (const double value : kept.values<double>()) sum += value;
  return record(kToySum, {&x}, make({sum}, {}),
                [shape = x.shape()](const Tensor& g, Gradients& grads) {
                  grads.set(0, Tensor::full(shape, g.item(), DType::kFloat64));
                });
}

/// y = x, with a gradient rule of the caller's choice.
template <class Rule>
Variable with_rule(const Variable& x, Rule rule, const OpDef& op = kToyRule) {
  return record(op, {&x}, x.value().clone(), rule);
}

}  // namespace maskgrad::test
