#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/json_reader.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/safetensors_parts.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad::safetensors_parts {
namespace {

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

/// The length that the first eight bytes give the header of a file of `size` bytes.
std::uint64_t header_length(std::string_view bytes, std::uint64_t size, const std::string& file) {
  check(bytes.size() >= kLengthSize, kName, "'{}': its {} bytes are fewer than a header's", file,
        bytes.size());
  const auto length = load_little_endian<std::uint64_t>(bytes.data());
  check(length <= kMaxHeader, kName, "'{}': header length {} is above {}", file, length,
        kMaxHeader);
  check(length <= size - kLengthSize, kName,
        "'{}': header length {} reaches past the end of the file at {}", file, length, size);
  return length;
}

Layout read_layout(std::string_view text, std::uint64_t data_size, const std::string& file) {
  const Header header = read_header(text, file);
  std::vector<const NamedInfo*> order;
  for (const NamedInfo& named : header.infos) order.push_back(&named);
  std::stable_sort(order.begin(), order.end(), [](const NamedInfo* a, const NamedInfo* b) {
    return std::tie(a->second.begin, a->second.end) < std::tie(b->second.begin, b->second.end);
  });
  Layout layout{{}, header.metadata, header.repeated_keys};
  std::uint64_t end = 0;
  for (const NamedInfo* named : order) {
    check_info(file, *named, end);
    const auto& [name, info] = *named;
    layout.tensors.push_back(
        {name, info.dtype, {info.shape.begin(), info.shape.end()}, info.begin, info.end});
    end = info.end;
  }
  check(end == data_size, kName, "'{}': the tensors end at {}, the data at {}", file, end,
        data_size);
  return layout;
}

}  // namespace maskgrad::safetensors_parts
