#include <string_view>

#include <maskgrad/train/formats/crc32c.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/little_endian.hpp>

#include "cli/inspect/inspect.hpp"

namespace maskgrad::apps {
namespace {

// A record's header vouches for itself: the checksum of its length.
bool starts_like_records(const std::string& bytes) {
  return bytes.size() >= 12 && masked_crc32c(std::string_view(bytes).substr(0, 8)) ==
                                   load_little_endian<std::uint32_t>(bytes.data() + 8);
}

std::string first_bytes(const std::filesystem::path& path) {
  std::string bytes(12, '\0');
  bytes.resize(InputFile(path).read(bytes.data(), bytes.size()));
  return bytes;
}

}  // namespace

// By the names that the formats' own tools go by, and by content where the name says nothing.
void inspect_path(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  std::error_code ignored;  // what cannot be looked at cannot be opened, which names the reason
  if (std::filesystem::is_directory(path, ignored)) return inspect_folder(path);
  if (name.find("tfevents") != std::string::npos) return inspect_events(path);
  if (name.ends_with(".tfrecords") || name.ends_with(".tfrecord")) return inspect_records(path);
  if (name.ends_with(".safetensors")) return inspect_safetensors(path);
  const std::string bytes = first_bytes(path);
  if (starts_like_records(bytes)) return inspect_records(path);
  check(bytes.size() > 8 && bytes[8] == '{', "inspect",
        "'{}' is no safetensors, TFRecord or event file", path.string());
  inspect_safetensors(path);
}

}  // namespace maskgrad::apps
