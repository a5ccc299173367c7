// What becomes of a layer whose gates are trained.
#pragma once

#include <map>
#include <memory>
#include <string>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// A layer made from a trained one, whose gates have become masks or are gone:
///
///   const Hardened<WindowAttention> hard = span.harden();
///   ParameterBuffer(*hard.layer, dtype, seed).load(hard.values);
template <class L>
struct Hardened {
  std::unique_ptr<L> layer;              // its parameters have no values yet
  std::map<std::string, Tensor> values;  // of its parameters, by the names within it
};

}  // namespace maskgrad
