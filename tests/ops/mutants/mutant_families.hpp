// What families of faulty operations are made from.
#pragma once

#include <vector>

#include "ops/mutants/mutants.hpp"
#include "support/tensors.hpp"

namespace maskgrad::test {

/// scaled_dot_product_attention by plain loops: no mutant, and made as they are.
Tensor attention_by_its_definition(const OpCall& call);

using Values = std::vector<double>;

inline Values values_of(const OpCall& call, const char* name) {
  return to_doubles(call.input(name).value());
}
inline Tensor like(const Variable& x, const Values& values) {
  return make(values, x.shape(), x.dtype());
}
/// The mask of the call, expanded; 1 everywhere where it has none.
Values bits_of(const OpCall& call, const Shape& shape);

Tensor true_output(const std::string& op, const OpCall& call);
Gradient true_gradient(const std::string& op, const OpCall& call, const Tensor& g);

}  // namespace maskgrad::test
