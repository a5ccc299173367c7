// What tests of stacked products multiply.
#pragma once

#include <vector>

#include "support/tensors.hpp"

namespace maskgrad::test {

struct StackedInputs {
  Tensor x, g;  // g: [n, ..., N]
  std::vector<Tensor> weights, biases;
};

/// In [-1, 1), as float32 holds them: x [rows..., k], and so many matrices [k, n] and biases [n].
inline StackedInputs random_stacked(Random& random, const Shape& rows, std::int64_t k,
                                    std::int64_t n, std::int64_t matrices, DType dtype) {
  const auto draw = [&](const Shape& shape) {
    return uniform(random, shape, -1, 1).to(DType::kFloat32).to(dtype);
  };
  StackedInputs in = {
      draw(rows.concat({k})), draw(Shape{matrices}.concat(rows).concat({n})), {}, {}};
  for (std::int64_t i = 0; i < matrices; ++i) {
    in.weights.push_back(draw({k, n}));
    in.biases.push_back(draw({n}));
  }
  return in;
}

inline std::vector<const Variable*> pointers_to(const std::vector<Variable>& values) {
  std::vector<const Variable*> pointers;
  for (const Variable& value : values) pointers.push_back(&value);
  return pointers;
}

}  // namespace maskgrad::test
