// A model's weights in a file of their own.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/train/notes.hpp>

namespace maskgrad {

struct ModelFile {
  std::map<std::string, Tensor> tensors;  // by the parameters' names
  Notes notes;
};

/// Writes the weights under their parameters' names, and notes, in a safetensors file with a
/// digest. The file appears whole or not at all.
void save_model(const std::filesystem::path& path, const ParameterBuffer& parameters,
                const Notes& notes);
/// The same for weights that stand elsewhere than in a model.
void save_model(const std::filesystem::path& path, const std::map<std::string, Tensor>& weights,
                const Notes& notes);

/// Reads a model; or the weights of a checkpoint; or all tensors of a safetensors file of another
/// program, which has no notes. Throws Error naming the file where it is damaged or of a newer
/// version.
ModelFile load_model(const std::filesystem::path& path);

/// Puts the weights of a file, read as by load_model, into a model. Throws Error listing every name
/// and shape that differs, and naming a tensor that is not finite.
void load_weights(const std::filesystem::path& path, ParameterBuffer& parameters);
/// The same for a model that was read; errors call it `path`.
void load_weights(const ModelFile& model, const std::filesystem::path& path,
                  ParameterBuffer& parameters);

}  // namespace maskgrad
