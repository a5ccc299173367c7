#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/half.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
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

std::optional<HalfKind> half_of_name(std::string_view name) {
  if (name == "F16") return HalfKind::kFloat16;
  if (name == "BF16") return HalfKind::kBFloat16;
  return std::nullopt;
}

std::string_view name_of(HalfKind kind) { return kind == HalfKind::kFloat16 ? "F16" : "BF16"; }

std::string_view name_of(DType wanted) {
  const auto* found = std::find_if(kDTypes.begin(), kDTypes.end(),
                                   [&](const auto& entry) { return entry.second == wanted; });
  return found->first;
}

Tensor to_tensor(const SafetensorsEntry& entry, const std::string& file) {
  const auto half = half_of_name(entry.dtype);
  const auto dtype = half ? DType::kFloat32 : dtype_of_name(entry.dtype);
  check(dtype.has_value(), "safetensors",
        "'{}': tensor {} has dtype {}, not one of F32, F64, F16, BF16, I32, I64, BOOL", file,
        quote(entry.name), entry.dtype);
  check(entry.shape.size() <= Shape::kMaxRank, "safetensors",
        "'{}': tensor {} has {} dimensions, more than {}", file, quote(entry.name),
        entry.shape.size(), Shape::kMaxRank);
  Tensor tensor = Tensor::empty(Shape(entry.shape), *dtype);
  if (half) {
    float* const to = tensor.data<float>();
    for (std::size_t i = 0; i < entry.data.size() / 2; ++i) {
      to[i] = from_half(*half, load_little_endian<std::uint16_t>(entry.data.data() + 2 * i));
    }
  } else if (*dtype == DType::kBool) {
    // A C++ bool must be 0 or 1; the format promises no such thing.
    std::transform(entry.data.begin(), entry.data.end(), tensor.data<bool>(),
                   [](char byte) { return byte != 0; });
  } else if (!entry.data.empty()) {
    std::memcpy(tensor.raw_data(), entry.data.data(), entry.data.size());
  }
  return tensor;
}

// How a tensor is written: the format's name of its dtype, and its bytes.
struct Stored {
  std::string dtype;
  std::string_view data;
  std::string made = {};  // owns data that are not the tensor's own
};

Stored as_it_is(const Tensor& tensor) {
  return {std::string(name_of(tensor.dtype())),
          {reinterpret_cast<const char*>(tensor.raw_data()), tensor.nbytes()}};
}

Stored as_half(HalfKind kind, const Tensor& tensor, const std::string& tensor_name,
               const std::string& file) {
  Stored stored = {std::string(name_of(kind)), {}};
  dispatch_dtype(FloatingTypes{}, tensor.dtype(), "safetensors", [&]<class T>(T) {
    stored.made.reserve(2 * static_cast<std::size_t>(tensor.numel()));
    for (const T& x : tensor.values<T>()) {
      const std::uint16_t bits = to_half(kind, x);
      if (std::isfinite(x) && !std::isfinite(from_half(kind, bits))) {
        fail("safetensors", "'{}': tensor {} holds {} at element {}, more than {} holds", file,
             quote(tensor_name), x, &x - tensor.data<T>(), stored.dtype);
      }
      append_little_endian(stored.made, bits);
    }
  });
  return stored;
}

Stored stored_as(StoreFloats store, const Tensor& tensor, const std::string& name,
                 const std::string& file) {
  check(tensor.defined(), "safetensors", "'{}': tensor {} was never given a value", file,
        quote(name));
  check(tensor.device() == Device{}, "safetensors",
        "'{}': tensor {} is on {}, and files are written from the host; bring it there with "
        "to(Device{{}})",
        file, quote(name), to_string(tensor.device().type));
  if (store == StoreFloats::kAsTheyAre || !is_floating(tensor.dtype())) return as_it_is(tensor);
  const bool is_16 = store == StoreFloats::kAsFloat16;
  return as_half(is_16 ? HalfKind::kFloat16 : HalfKind::kBFloat16, tensor, name, file);
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
                  const Metadata& metadata, StoreFloats store) {
  std::map<std::string, Stored> stored;
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : tensors) {
    Stored& one = stored[name] = stored_as(store, tensor, name, path.string());
    if (!one.made.empty()) one.data = one.made;
    entries.push_back({name, one.dtype, {tensor.shape().begin(), tensor.shape().end()}, one.data});
  }
  Metadata all = metadata;
  all.emplace("format", "maskgrad tensors 2");
  write_safetensors(path, entries, all, SafetensorsDigest::kWritten);
}

}  // namespace maskgrad
