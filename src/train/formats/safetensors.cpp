#include <array>
#include <map>
#include <utility>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/digest.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/safetensors_parts.hpp>

namespace maskgrad {

using namespace safetensors_parts;

namespace safetensors_parts {

std::optional<std::size_t> find_digest(std::string_view header) {
  const std::string key = fmt::format("\"{}\":\"", kDigestKey);
  const std::size_t at = header.find(key);
  const bool is_there = at != std::string_view::npos &&
                        header.size() - at >= key.size() + kNoDigest.size() &&
                        header.find(key, at + 1) == std::string_view::npos;
  return is_there ? std::optional(at + key.size()) : std::nullopt;
}

std::uint32_t crc_without_digest(std::string_view length, std::string_view header, std::size_t at,
                                 std::span<const std::string_view> data) {
  Digest digest;
  digest.add(length);
  digest.add(header.substr(0, at));
  digest.add(kNoDigest);
  digest.add(header.substr(at + kNoDigest.size()));
  for (const std::string_view piece : data) digest.add(piece);
  return digest.crc;
}

}  // namespace safetensors_parts

namespace {

/// Files of ours hold a digest from the second version of their formats on.
bool is_ours_with_digest(const Metadata& metadata) {
  const auto format = metadata.find(std::string(kFormatKey));
  return format != metadata.end() && format->second.starts_with("maskgrad ") &&
         !format->second.ends_with(" 1");
}

void check_digest(std::string_view bytes, std::size_t header_end, const std::string& file) {
  const std::string_view header = bytes.substr(kLengthSize, header_end - kLengthSize);
  const std::array data = {bytes.substr(header_end)};
  const auto at = find_digest(header);
  check(at && crc_text(crc_without_digest(bytes.substr(0, kLengthSize), header, *at, data)) ==
                  header.substr(*at, kNoDigest.size()),
        kName, "'{}': its bytes do not match its digest: the file is damaged", file);
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
  const std::string name = path.string();
  InputFile input(path);
  const std::uint64_t size = input.size();
  std::string bytes;
  const auto read_up_to = [&](std::uint64_t end) {
    const std::size_t begin = bytes.size();
    bytes.resize(static_cast<std::size_t>(end));
    bytes.resize(begin + input.read(bytes.data() + begin, bytes.size() - begin));
  };
  // The header is held against the file's size before memory is taken for the data.
  read_up_to(std::min(size, kLengthSize));
  read_up_to(kLengthSize + header_length(bytes, size, name));
  const std::size_t header_end = bytes.size();
  Layout layout = read_layout(std::string_view(bytes).substr(kLengthSize), size - header_end, name);
  read_up_to(size);
  check(bytes.size() == size, kName, "'{}': became shorter while it was read", name);
  return {std::move(bytes), header_end, std::move(layout), name};
}

SafetensorsFile::SafetensorsFile(std::string bytes, const std::string& name) {
  const std::size_t header_end =
      kLengthSize + static_cast<std::size_t>(header_length(bytes, bytes.size(), name));
  const std::string_view header = std::string_view(bytes).substr(0, header_end);
  Layout layout = read_layout(header.substr(kLengthSize), bytes.size() - header_end, name);
  *this = SafetensorsFile(std::move(bytes), header_end, std::move(layout), name);
}

SafetensorsFile::SafetensorsFile(std::string bytes, std::size_t header_end, Layout layout,
                                 const std::string& name)
    : bytes_(std::make_shared<const std::string>(std::move(bytes))),
      metadata_(std::move(layout.metadata)),
      repeated_keys_(std::move(layout.repeated_keys)),
      has_digest_(metadata_.erase(std::string(kDigestKey)) > 0) {
  check(has_digest_ || !is_ours_with_digest(metadata_), kName,
        "'{}': its digest is missing: the file is damaged", name);
  if (has_digest_) check_digest(*bytes_, header_end, name);
  const std::string_view data = std::string_view(*bytes_).substr(header_end);
  for (PlacedTensor& tensor : layout.tensors) {
    entries_.push_back({std::move(tensor.name), std::move(tensor.dtype), std::move(tensor.shape),
                        data.substr(tensor.begin, tensor.end - tensor.begin)});
  }
}

}  // namespace maskgrad
