// A model of elementwise operations, for tests of the device.
#pragma once

#include <vector>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

/// y = sum(relu(a x + b) w) for x [5, 6], or of what a mask keeps of [2, 3, 6].
struct ElementwiseModel {
  Variable a, b, w;
  Tensor x;
  SequenceMask mask;

  ElementwiseModel(Device device, DType dtype, bool has_mask) {
    Random random(5);
    const auto start = [&](const Shape& shape) {
      return test::uniform(random, shape).to(dtype).to(device);
    };
    for (Variable* p : {&a, &b, &w}) *p = leaf(start({6}));
    x = start(has_mask ? Shape{2, 3, 6} : Shape{5, 6});
    if (has_mask) mask = SequenceMask(test::bits({1, 1, 0, 1, 0, 0}, {2, 3}));
  }

  /// Returns the loss before the step.
  Tensor step() {
    Tensor loss;
    {
      Tape tape;
      const Variable h =
          ops::relu(ops::add(ops::multiply(Variable(x, Variable::kConstant, mask), a), b));
      const Variable y = ops::sum(drop_mask(ops::multiply(h, w)));
      tape.backward(y, 0.5);
      loss = y.value();
    }
    for (Variable* p : {&a, &b, &w}) {
      const Variable change = ops::scale(Variable(p->grad()), 0.01);
      *p = leaf(ops::subtract(Variable(p->value()), change).value());
    }
    return loss;
  }

  /// Losses of some steps, then the parameters.
  std::vector<Tensor> train() {
    std::vector<Tensor> all;
    for (int i = 0; i < 6; ++i) all.push_back(step());
    for (const Variable* p : {&a, &b, &w}) all.push_back(p->value());
    return all;
  }
};

}  // namespace maskgrad::test
