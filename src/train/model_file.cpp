#include <maskgrad/tensor/finite.hpp>
#include <maskgrad/train/model_file.hpp>
#include <maskgrad/train/weights_format.hpp>

namespace maskgrad {
namespace {

constexpr std::string_view kCheckpointPrefix = "model/";

std::map<std::string, Tensor> weights_of_checkpoint(const std::map<std::string, Tensor>& tensors) {
  std::map<std::string, Tensor> weights;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(kCheckpointPrefix)) {
      weights.emplace(name.substr(kCheckpointPrefix.size()), tensor);
    }
  }
  return weights;
}

}  // namespace

void save_model(const std::filesystem::path& path, const ParameterBuffer& parameters,
                const Notes& notes, StoreFloats store) {
  save_model(path, parameters.named_pieces(parameters.values().to(Device{})), notes, store);
}

void save_model(const std::filesystem::path& path, const std::map<std::string, Tensor>& weights,
                const Notes& notes, StoreFloats store) {
  save_tensors(path, weights, weights_metadata("model", notes), store);
}

ModelFile load_model(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const Metadata& metadata = file.metadata();
  const bool is_checkpoint = is_of_kind(metadata, "checkpoint");
  if (is_of_kind(metadata, "model")) check_format(metadata, "model", path);
  // One of the first version vouches for nothing, but its weights may begin a new run.
  if (is_checkpoint && metadata.at("format") != weights_format("checkpoint", 1))
    check_format(metadata, "checkpoint", path);
  const std::map<std::string, Tensor> tensors = load_tensors(file, path.string());
  return {is_checkpoint ? weights_of_checkpoint(tensors) : tensors, notes_of(metadata)};
}

void load_weights(const ModelFile& model, const std::filesystem::path& path,
                  ParameterBuffer& parameters) {
  for (const auto& [name, tensor] : model.tensors) {
    if (!is_floating(tensor.dtype())) continue;
    if (const auto found = find_not_finite(tensor)) {
      fail("weights", "'{}': {} is {} at element {}: this model is not to be used", path.string(),
           name, found->value, found->element);
    }
    if (const auto found = find_not_finite(tensor.to(parameters.dtype()))) {
      fail("weights", "'{}': element {} of {} is more than {} holds", path.string(), found->element,
           name, to_string(parameters.dtype()));
    }
  }
  try {
    parameters.load(model.tensors);
  } catch (const Error& error) {
    fail("weights", "'{}' does not fit the model: {}", path.string(), error.text());
  }
}

void load_weights(const std::filesystem::path& path, ParameterBuffer& parameters) {
  load_weights(load_model(path), path, parameters);
}

}  // namespace maskgrad
