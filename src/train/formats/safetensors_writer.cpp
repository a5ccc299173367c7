#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/digest.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/safetensors_parts.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {

using namespace safetensors_parts;

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
                       const Metadata& metadata, SafetensorsDigest digest) {
  const std::string name = path.string();
  check(!metadata.contains(std::string(kDigestKey)), kName,
        "'{}': the metadata may not hold \"{}\", the digest's own key", name, kDigestKey);
  Metadata all = metadata;
  if (digest == SafetensorsDigest::kWritten) all[std::string(kDigestKey)] = kNoDigest;
  const auto order = writing_order(entries, name);
  std::string header = header_for(order, all, name);
  std::string length;
  append_little_endian(length, static_cast<std::uint64_t>(header.size()));
  std::vector<std::string_view> data;
  for (const SafetensorsEntry* entry : order) data.push_back(entry->data);
  if (const auto at = find_digest(header)) {
    header.replace(*at, kNoDigest.size(), crc_text(crc_without_digest(length, header, *at, data)));
  }
  AtomicFile file(path);
  file.write(length);
  file.write(header);
  for (const std::string_view piece : data) file.write(piece);
  file.commit();
}

}  // namespace maskgrad
