// Tensors in safetensors files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include <maskgrad/tensor/tensor.hpp>
#include <maskgrad/train/formats/safetensors.hpp>

namespace maskgrad {

/// The file's tensors by name, on the CPU: F32, F64, I32, I64 and BOOL (any byte but 0 is true).
/// F16 and BF16 become float32, which holds each of their numbers.
/// Throws as SafetensorsFile::open(). Also throws Error for a name given twice, for a tensor with
/// more than Shape::kMaxRank dimensions, and for another dtype:
/// "[safetensors] 'x': tensor "w" has dtype U8, not one of F32, F64, F16, BF16, I32, I64, BOOL".
std::map<std::string, Tensor> load_tensors(const std::filesystem::path& path);

/// The same for a file that is already open. Errors call it `name`.
std::map<std::string, Tensor> load_tensors(const SafetensorsFile& file, const std::string& name);

/// What a file holds the numbers of floating tensors as: as they are, or rounded to 16 bits.
enum class StoreFloats : std::uint8_t { kAsTheyAre, kAsFloat16, kAsBFloat16 };

/// Writes CPU tensors under their names, with a digest of the whole file. Equal tensors give equal
/// bytes. Metadata without "format" get "maskgrad tensors 2". The file appears whole or not at all.
/// With `store` floating tensors become F16 or BF16: the nearest number, of two that are as near
/// the even one (half.hpp). Infinity and NaN stay what they are.
/// Throws Error for a tensor that is undefined or not on the CPU, for a number too large for the
/// 16 bits, "[safetensors] 'x': tensor "w" holds 70000 at element 3, more than F16 holds", and as
/// write_safetensors().
void save_tensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                  const Metadata& metadata = {}, StoreFloats store = StoreFloats::kAsTheyAre);

}  // namespace maskgrad
