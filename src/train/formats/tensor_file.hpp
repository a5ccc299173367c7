// Tensors in safetensors files.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <maskgrad/tensor/tensor.hpp>
#include <maskgrad/train/formats/safetensors.hpp>

namespace maskgrad {

/// The file's tensors by name, on the CPU: F32, F64, I32, I64 and BOOL (any byte but 0 is true).
/// Throws as SafetensorsFile::open(). Also throws Error for a name given twice, for a tensor with
/// more than Shape::kMaxRank dimensions, and for another dtype:
/// "[safetensors] 'x': tensor "w" has dtype F16, not one of F32, F64, I32, I64, BOOL".
std::map<std::string, Tensor> load_tensors(const std::filesystem::path& path);

/// The same for a file that is already open. Errors call it `name`.
std::map<std::string, Tensor> load_tensors(const SafetensorsFile& file, const std::string& name);

/// Writes CPU tensors under their names, with a digest of the whole file. Equal tensors give equal
/// bytes. Metadata without "format" get "maskgrad tensors 2". The file appears whole or not at all.
/// Throws Error for a tensor that is undefined or not on the CPU, and as write_safetensors().
void save_tensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                  const Metadata& metadata = {});

}  // namespace maskgrad
