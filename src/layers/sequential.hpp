// Layers one after another.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

/// What a table of a model says of one layer.
struct LayerSummary {
  std::string name;
  std::string kind;
  Shape output;  // for the batch that was run through
  std::int64_t parameters;
  MaskRule mask_rule;
};

/// Each layer gets the output of the one before it.
///   Sequential model;
///   model.add<Embed>("embed", 20, 15).add<Dense>("dense", 15, 2);
class Sequential : public Layer {
 public:
  Sequential() : Layer("Sequential") {}

  /// Makes an L from `args` and appends it; its parameters get names "name.…".
  template <class L, class... Args>
  Sequential& add(const std::string& name, Args&&... args) {
    layers_.push_back({name, &submodule(name, std::make_unique<L>(std::forward<Args>(args)...))});
    return *this;
  }

  /// The layer of this name, for whoever knows its type. Throws Error when there is none.
  Layer& layer(const std::string& name) const;

  /// The layers themselves check what becomes of masks.
  Variable operator()(const Variable& x) override;

  /// Runs `x` through the layers, without recording, and notes what each made of it.
  std::vector<LayerSummary> summarize(const Variable& x);

 protected:
  Variable forward(const Variable& x) override;

 private:
  struct Part {
    std::string name;
    Layer* layer;
  };
  std::vector<Part> layers_;
};

}  // namespace maskgrad
