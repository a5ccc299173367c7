#include <utility>

#include <maskgrad/layers/harden.hpp>

namespace maskgrad {
namespace {

struct Change {
  Sequential* model;
  std::string path;  // of the layer, "encoder.attention"
  std::string name;  // within the model
  Hardened hardened;
};

// What the layers of `model` give, without a change to it.
void collect(Sequential& model, const std::string& prefix, std::vector<Change>& changes) {
  for (Layer* layer : model.layers()) {
    const std::string path = prefix + layer->name();
    if (auto* inner = dynamic_cast<Sequential*>(layer)) {
      collect(*inner, path + ".", changes);
    } else if (std::optional<Hardened> hardened = layer->harden()) {
      changes.push_back({&model, path, layer->name(), std::move(*hardened)});
    }
  }
}

// Removes those of the layer at `path`.
void erase_values(std::map<std::string, Tensor>& values, const std::string& path) {
  std::erase_if(values, [&](const auto& value) { return value.first.starts_with(path + "."); });
}

}  // namespace

HardenedModel harden(Sequential& model) {
  std::vector<Change> changes;
  collect(model, "", changes);
  HardenedModel result;
  for (const auto& [name, parameter] : model.parameters()) {
    result.values.emplace(name, parameter->variable().value().clone());
  }
  for (Change& change : changes) {
    erase_values(result.values, change.path);
    for (auto& [name, value] : change.hardened.values) {
      result.values.emplace(change.path + "." + name, std::move(value));
    }
    result.changes.push_back(change.path + ": " + change.hardened.says);
    result.replaced.push_back(change.model->replace(change.name, std::move(change.hardened.layer)));
  }
  return result;
}

}  // namespace maskgrad
