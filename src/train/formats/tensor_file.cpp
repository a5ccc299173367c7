#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie");

constexpr std::array<std::pair<std::string_view, DType>, 5> kDTypes = {{{"F32", DType::kFloat32},
                                                                        {"F64", DType::kFloat64},
                                                                        {"I32", DType::kInt32},
                                                                        {"I64", DType::kInt64},
                                                                        {"BOOL", DType::kBool}}};

std::optional<DType> dtype_of_name(std::string_view name) {
  for (const auto& [known, dtype] : kDTypes) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

std::string_view name_of(DType wanted) {
  const auto* found = std::find_if(kDTypes.begin(), kDTypes.end(),
                                   [&](const auto& entry) { return entry.second == wanted; });
  return found->first;
}

Tensor to_tensor(const SafetensorsEntry& entry, const std::string& file) {
  const auto dtype = dtype_of_name(entry.dtype);
  check(dtype.has_value(), "safetensors",
        "'{}': tensor {} has dtype {}, not one of F32, F64, I32, I64, BOOL", file,
        quote(entry.name), entry.dtype);
  check(entry.shape.size() <= Shape::kMaxRank, "safetensors",
        "'{}': tensor {} has {} dimensions, more than {}", file, quote(entry.name),
        entry.shape.size(), Shape::kMaxRank);
  Tensor tensor = Tensor::empty(Shape(entry.shape), *dtype);
  if (*dtype == DType::kBool) {
    // A C++ bool must be 0 or 1; the format promises no such thing.
    std::transform(entry.data.begin(), entry.data.end(), tensor.data<bool>(),
                   [](char byte) { return byte != 0; });
  } else if (!entry.data.empty()) {
    std::memcpy(tensor.raw_data(), entry.data.data(), entry.data.size());
  }
  return tensor;
}

}  // namespace

std::map<std::string, Tensor> load_tensors(const std::filesystem::path& path) {
  return load_tensors(SafetensorsFile::open(path), path.string());
}

std::map<std::string, Tensor> load_tensors(const SafetensorsFile& file, const std::string& name) {
  check(file.repeated_keys().empty(), "safetensors", "'{}': the header gives {} twice", name,
        file.repeated_keys().empty() ? "" : quote(file.repeated_keys().front()));
  std::map<std::string, Tensor> tensors;
  for (const SafetensorsEntry& entry : file.entries()) {
    tensors.emplace(entry.name, to_tensor(entry, name));
  }
  return tensors;
}

void save_tensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                  const Metadata& metadata) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : tensors) {
    check(tensor.defined() && tensor.device() == Device{}, "safetensors",
          "'{}': tensor {} has no values on the CPU", path.string(), quote(name));
    const std::string_view data(reinterpret_cast<const char*>(tensor.raw_data()), tensor.nbytes());
    entries.push_back({name,
                       std::string(name_of(tensor.dtype())),
                       {tensor.shape().begin(), tensor.shape().end()},
                       data});
  }
  Metadata all = metadata;
  all.emplace("format", "maskgrad tensors 2");
  write_safetensors(path, entries, all, SafetensorsDigest::kWritten);
}

}  // namespace maskgrad
