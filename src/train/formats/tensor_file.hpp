// Tensors in safetensors files.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <maskgrad/tensor/tensor.hpp>
#include <maskgrad/train/formats/safetensors.hpp>

namespace maskgrad {

/// The file's tensors by name, on the CPU: F32, F64, I32, I64 and BOOL (any byte but 0 is true).
/// Stricter than SafetensorsFile: throws Error for a name given twice, and
/// "[safetensors] 'x': tensor "w" has dtype F16, not one of F32, F64, I32, I64, BOOL".
std::map<std::string, Tensor> load_tensors(const std::filesystem::path& path);

/// The same for a file already open; errors call it `name`.
std::map<std::string, Tensor> load_tensors(const SafetensorsFile& file, const std::string& name);

/// Writes CPU tensors under their names, with a digest of the whole file; equal tensors give equal
/// bytes. Metadata without "format" get "maskgrad tensors 2". The file appears whole or not at all.
/// Throws as write_safetensors.
void save_tensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                  const Metadata& metadata = {});

}  // namespace maskgrad
