// What becomes of a layer whose gates are trained.
#pragma once

#include <map>
#include <memory>
#include <string>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

class Layer;

/// A layer made from a trained one, whose gates have become masks or are gone:
///
///   const std::optional<Hardened> hard = span.harden();
///   ParameterBuffer(*hard->layer, dtype, seed).load(hard->values);
struct Hardened {
  std::unique_ptr<Layer> layer;          // its parameters have no values yet
  std::map<std::string, Tensor> values;  // of its parameters, by the names within it
  std::string says;                      // what was dropped: "keeps 2 of 4 heads"
};

}  // namespace maskgrad
