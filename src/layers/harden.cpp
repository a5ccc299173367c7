#include <utility>

#include <maskgrad/layers/harden.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad {
namespace {

struct Change {
  Sequential* model;
  std::string path;  // of the layer, "encoder.attention"
  std::string name;  // within the model
  Hardened hardened;
};

// The layers within `module` that have gates to harden.
void collect_within(Module& module, const std::string& path, std::vector<std::string>& stays) {
  for (Module* inner : module.submodules()) {
    const std::string inner_path = path + "." + inner->name();
    if (auto* layer = dynamic_cast<Layer*>(inner); layer && layer->harden()) {
      stays.push_back(inner_path);
    } else {
      collect_within(*inner, inner_path, stays);
    }
  }
}

// What the layers of `model` give, without a change to it.
void collect(Sequential& model, const std::string& prefix, std::vector<Change>& changes,
             std::vector<std::string>& stays) {
  for (Layer* layer : model.layers()) {
    const std::string path = prefix + layer->name();
    if (auto* inner = dynamic_cast<Sequential*>(layer)) {
      collect(*inner, path + ".", changes, stays);
    } else if (std::optional<Hardened> hardened = layer->harden()) {
      changes.push_back({&model, path, layer->name(), std::move(*hardened)});
    } else {
      collect_within(*layer, path, stays);
    }
  }
}

// Removes those of the layer at `path`.
void erase_values(std::map<std::string, Tensor>& values, const std::string& path) {
  std::erase_if(values, [&](const auto& value) { return value.first.starts_with(path + "."); });
}

}  // namespace

HardenedModel harden(Sequential& model) {
  const NoGrad no_grad;
  HardenedModel result;
  std::vector<Change> changes;
  collect(model, "", changes, result.stays);
  for (const auto& [name, parameter] : model.parameters()) {
    result.values.emplace(name, parameter->variable().value().clone());
  }
  for (Change& change : changes) {
    erase_values(result.values, change.path);
    for (const auto& [name, value] : change.hardened.values) {
      result.values.emplace(change.path + "." + name, value.clone());
    }
    result.changes.push_back(change.path + ": " + change.hardened.says);
    result.replaced.push_back(change.model->replace(change.name, std::move(change.hardened.layer)));
  }
  return result;
}

}  // namespace maskgrad
