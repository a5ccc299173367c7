// A model's weights in a file of their own.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/notes.hpp>

namespace maskgrad {

struct ModelFile {
  std::map<std::string, Tensor> tensors;  // by the parameters' names
  Notes notes;
};

/// Writes the weights, under their parameters' names, and notes to a safetensors file with a
/// digest. The file appears whole or not at all. A file with 16 bits for each number, by `store`,
/// is half as large as one of float32. Throws as save_tensors().
void save_model(const std::filesystem::path& path, const ParameterBuffer& parameters,
                const Notes& notes, StoreFloats store = StoreFloats::kAsTheyAre);
/// The same for weights by name, which need not be those of a model.
void save_model(const std::filesystem::path& path, const std::map<std::string, Tensor>& weights,
                const Notes& notes, StoreFloats store = StoreFloats::kAsTheyAre);

/// Reads a model, the weights of a checkpoint, or all tensors of another program's safetensors
/// file. Such a file has no notes. F16 and BF16 become float32. Throws Error naming the file when
/// it is damaged, and when it is a model or checkpoint of a newer version. Throws as
/// load_tensors().
ModelFile load_model(const std::filesystem::path& path);

/// Reads a file as load_model() does, and puts its weights into a model. Throws as load_model().
/// Throws Error that lists every name and shape that differs, and Error that names a tensor whose
/// values are not finite or are more than the model's dtype holds.
void load_weights(const std::filesystem::path& path, ParameterBuffer& parameters);
/// The same for a file that was read already. Errors call it `path`.
void load_weights(const ModelFile& model, const std::filesystem::path& path,
                  ParameterBuffer& parameters);

}  // namespace maskgrad
