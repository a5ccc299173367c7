// From a model whose gates are trained to one that skips what they close.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <maskgrad/layers/sequential.hpp>

namespace maskgrad {

/// What harden() did to a model.
struct HardenedModel {
  std::map<std::string, Tensor> values;           // of all parameters that it has now
  std::vector<std::string> changes;               // "attention: keeps 2 of 4 heads"
  std::vector<std::string> stays;                 // layers with gates that could not be replaced
  std::vector<std::unique_ptr<Module>> replaced;  // old ParameterBuffers refer to these
};

/// Puts in the place of each layer of `model` what its Layer::harden() gives: a learned mask
/// becomes one that layers skip by, closed heads and hidden features are cut off, and soft windows
/// become windows. Layers within a Sequential within `model` count, too. Those within other layers,
/// such as a block, cannot be replaced: `stays` names them. A gate that depends on its input, such
/// as Gate, stays as it is. The new parameters have no values until a ParameterBuffer is made:
///
///   const HardenedModel hard = harden(model);
///   ParameterBuffer parameters(model, DType::kFloat32, seed);
///   parameters.load(hard.values);
///
/// Records nothing on a tape. Throws Error where a layer cannot be hardened, such as one without an
/// open head; then nothing has changed.
HardenedModel harden(Sequential& model);

}  // namespace maskgrad
