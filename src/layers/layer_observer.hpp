// What a model's layers let others see of their calls.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/nested.hpp>

namespace maskgrad {

class Layer;

/// While it lives, it hears of each call of a layer on this thread. Observers nest: the one made
/// last hears. For who draws or explains a model; training has none.
class LayerObserver : public Nested<LayerObserver> {
 public:
  virtual ~LayerObserver() = default;

  /// Called when `layer` has made y of x, within its scope: Scope::path() is its path. Layers
  /// inside it were heard of before.
  virtual void on_layer(const Layer& layer, const Variable& x, const Variable& y) = 0;
};

}  // namespace maskgrad
