#include <algorithm>
#include <cstddef>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/json_reader.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/safetensors.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "safetensors";
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::uint64_t kLengthSize = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;

/// What the header says of one tensor, not yet believed.
struct Info {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

using NamedInfo = std::pair<const std::string, Info>;

struct Header {
  std::map<std::string, Info> infos;
  Metadata metadata;
  std::vector<std::string> repeated_keys;
};

std::vector<std::uint64_t> read_integers(JsonReader& json) {
  std::vector<std::uint64_t> values;
  json.enter_array();
  while (json.next_element()) values.push_back(json.integer());
  return values;
}

Info read_info(JsonReader& json) {
  std::optional<std::string> dtype;
  std::optional<std::vector<std::uint64_t>> shape;
  std::optional<std::vector<std::uint64_t>> offsets;
  json.enter_object();
  for (std::string key; json.next_member(key);) {
    if (key == "dtype") {
      if (dtype) json.fail_here("\"dtype\" is given twice");
      dtype = json.string();
      if (safetensors_bits(*dtype) == 0) json.fail_here("unknown dtype");
    } else if (key == "shape") {
      if (shape) json.fail_here("\"shape\" is given twice");
      shape = read_integers(json);
    } else if (key == "data_offsets") {
      if (offsets) json.fail_here("\"data_offsets\" is given twice");
      offsets = read_integers(json);
      if (offsets->size() != 2) json.fail_here("\"data_offsets\" must be two numbers");
    } else {
      json.skip();
    }
  }
  if (!dtype) json.fail_here("\"dtype\" is missing");
  if (!shape) json.fail_here("\"shape\" is missing");
  if (!offsets) json.fail_here("\"data_offsets\" is missing");
  return {*std::move(dtype), *std::move(shape), (*offsets)[0], (*offsets)[1]};
}

void read_metadata(JsonReader& json, Header& header) {
  if (json.is_null()) {
    json.skip();
    return;
  }
  json.enter_object();
  for (std::string key; json.next_member(key);) {
    if (!header.metadata.insert_or_assign(key, json.string()).second) {
      header.repeated_keys.push_back(key);
    }
  }
}

Header read_header(std::string_view text, const std::string& file) {
  Header header;
  bool has_metadata = false;
  JsonReader json(text, kName, fmt::format("'{}': header", file));
  json.enter_object();
  for (std::string key; json.next_member(key);) {
    if (key == kMetadataKey) {
      if (std::exchange(has_metadata, true)) json.fail_here("\"__metadata__\" is given twice");
      read_metadata(json, header);
    } else if (!header.infos.insert_or_assign(key, read_info(json)).second) {
      header.repeated_keys.push_back(key);
    }
  }
  json.finish();
  return header;
}

/// The part of the file that is the header's text.
std::string_view header_text(std::string_view bytes, const std::string& file) {
  check(bytes.size() >= kLengthSize, kName, "'{}': its {} bytes are fewer than a header's", file,
        bytes.size());
  const auto length = load_little_endian<std::uint64_t>(bytes.data());
  check(length <= kMaxHeader, kName, "'{}': header length {} is above {}", file, length,
        kMaxHeader);
  check(length <= bytes.size() - kLengthSize, kName,
        "'{}': header length {} reaches past the end of the file at {}", file, length,
        bytes.size());
  return bytes.substr(kLengthSize, static_cast<std::size_t>(length));
}

/// Bits of a tensor; nothing when the product, taken in the shape's order, overflows.
template <class Dim>
std::optional<std::uint64_t> bits_needed(std::string_view dtype, const std::vector<Dim>& shape) {
  std::uint64_t bits = 1;
  bool overflow = false;
  for (const Dim dim : shape) overflow |= __builtin_mul_overflow(bits, dim, &bits);
  overflow |= __builtin_mul_overflow(bits, safetensors_bits(dtype), &bits);
  return overflow ? std::nullopt : std::optional(bits);
}

/// Throws unless the tensor begins where the one before ended and is as long as its shape says.
void check_info(const std::string& file, const NamedInfo& named, std::uint64_t previous_end) {
  const auto& [name, info] = named;
  const std::string tensor = quote(name);
  check(info.begin == previous_end, kName,
        "'{}': tensor {} begins at {}, the one before ends at {}", file, tensor, info.begin,
        previous_end);
  check(info.end >= info.begin, kName, "'{}': tensor {} ends at {}, before it begins at {}", file,
        tensor, info.end, info.begin);
  const auto bits = bits_needed(info.dtype, info.shape);
  check(bits.has_value(), kName, "'{}': tensor {} has a size that overflows 64 bits", file, tensor);
  check(*bits % 8 == 0, kName, "'{}': tensor {} does not fill whole bytes", file, tensor);
  check(info.end - info.begin == *bits / 8, kName,
        "'{}': tensor {} has {} bytes, its dtype and shape need {}", file, tensor,
        info.end - info.begin, *bits / 8);
  for (const std::uint64_t dim : info.shape) {
    check(dim <= INT64_MAX, kName, "'{}': tensor {} has a dimension of {}", file, tensor, dim);
  }
}

}  // namespace

int safetensors_bits(std::string_view dtype) {
  static const std::map<std::string_view, int> kBits = {
      {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"BOOL", 8},    {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
      {"I64", 64},        {"U64", 64}};
  const auto found = kBits.find(dtype);
  return found == kBits.end() ? 0 : found->second;
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  return SafetensorsFile(read_file(path), path.string());
}

SafetensorsFile::SafetensorsFile(std::string bytes, const std::string& name)
    : bytes_(std::make_shared<const std::string>(std::move(bytes))) {
  const std::string_view text = header_text(*bytes_, name);
  const std::string_view data = std::string_view(*bytes_).substr(kLengthSize + text.size());
  Header header = read_header(text, name);
  metadata_ = std::move(header.metadata);
  repeated_keys_ = std::move(header.repeated_keys);

  std::vector<const NamedInfo*> order;
  for (const NamedInfo& named : header.infos) order.push_back(&named);
  std::stable_sort(order.begin(), order.end(), [](const NamedInfo* a, const NamedInfo* b) {
    return std::tie(a->second.begin, a->second.end) < std::tie(b->second.begin, b->second.end);
  });
  std::uint64_t end = 0;
  for (const NamedInfo* named : order) {
    check_info(name, *named, end);
    end = named->second.end;
  }
  check(end == data.size(), kName, "'{}': the tensors end at {}, the data at {}", name, end,
        data.size());
  for (const NamedInfo* named : order) {
    const Info& info = named->second;
    entries_.push_back({named->first,
                        info.dtype,
                        {info.shape.begin(), info.shape.end()},
                        data.substr(info.begin, info.end - info.begin)});
  }
}

namespace {

void check_entry(const std::string& file, const SafetensorsEntry& entry) {
  const std::string tensor = quote(entry.name);
  check(is_utf8(entry.name), kName, "'{}': the name {} is not UTF-8", file, tensor);
  check(entry.name != kMetadataKey, kName, "'{}': no tensor may be named {}", file, tensor);
  check(safetensors_bits(entry.dtype) != 0, kName, "'{}': tensor {} has unknown dtype {}", file,
        tensor, quote(entry.dtype));
  for (const std::int64_t dim : entry.shape) {
    check(dim >= 0, kName, "'{}': tensor {} has a dimension of {}", file, tensor, dim);
  }
  const auto bits = bits_needed(entry.dtype, entry.shape);
  check(bits && *bits % 8 == 0 && *bits / 8 == entry.data.size(), kName,
        "'{}': tensor {} has {} bytes, which its dtype and shape do not give", file, tensor,
        entry.data.size());
}

std::vector<const SafetensorsEntry*> writing_order(std::span<const SafetensorsEntry> entries,
                                                   const std::string& file) {
  std::vector<const SafetensorsEntry*> order;
  for (const SafetensorsEntry& entry : entries) {
    check_entry(file, entry);
    order.push_back(&entry);
  }
  const auto by_name = [](const auto* a, const auto* b) { return a->name < b->name; };
  std::sort(order.begin(), order.end(), by_name);
  const auto twice = std::adjacent_find(
      order.begin(), order.end(), [](const auto* a, const auto* b) { return a->name == b->name; });
  check(twice == order.end(), kName, "'{}': two tensors are named {}", file,
        quote(twice == order.end() ? "" : (*twice)->name));
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return safetensors_bits(a->dtype) > safetensors_bits(b->dtype);
  });
  return order;
}

std::string header_for(const std::vector<const SafetensorsEntry*>& order, const Metadata& metadata,
                       const std::string& file) {
  std::vector<std::string> members;
  for (const auto& [key, value] : metadata) {
    check(is_utf8(key) && is_utf8(value), kName, "'{}': the metadata of {} is not UTF-8", file,
          quote(key));
    members.push_back(json_quote(key) + ':' + json_quote(value));
  }
  if (!members.empty()) {
    members = {fmt::format("\"{}\":{{{}}}", kMetadataKey, fmt::join(members, ","))};
  }
  std::size_t begin = 0;
  for (const SafetensorsEntry* entry : order) {
    const std::size_t end = begin + entry->data.size();
    members.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  json_quote(entry->name), entry->dtype,
                                  fmt::join(entry->shape, ","), begin, end));
    begin = end;
  }
  std::string header = fmt::format("{{{}}}", fmt::join(members, ","));
  header.resize((header.size() + 7) / 8 * 8, ' ');
  check(header.size() <= kMaxHeader, kName, "'{}': header length {} is above {}", file,
        header.size(), kMaxHeader);
  return header;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsEntry> entries,
                       const Metadata& metadata) {
  const auto order = writing_order(entries, path.string());
  const std::string header = header_for(order, metadata, path.string());
  std::string length;
  append_little_endian(length, static_cast<std::uint64_t>(header.size()));
  AtomicFile file(path);
  file.write(length);
  file.write(header);
  for (const SafetensorsEntry* entry : order) file.write(entry->data);
  file.commit();
}

}  // namespace maskgrad
