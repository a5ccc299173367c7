#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/formats/utf8.hpp>
#include <maskgrad/train/weights_format.hpp>

namespace maskgrad {
namespace {

constexpr std::string_view kNotePrefix = "note.";

std::string format_of(const Metadata& metadata) {
  const auto found = metadata.find("format");
  return found == metadata.end() ? std::string() : found->second;
}

}  // namespace

std::string weights_format(const std::string& kind, int version) {
  return fmt::format("maskgrad {} {}", kind, version);
}

bool is_of_kind(const Metadata& metadata, const std::string& kind) {
  return format_of(metadata).starts_with(fmt::format("maskgrad {} ", kind));
}

Metadata weights_metadata(const std::string& kind, const Notes& notes) {
  Metadata metadata = {{"format", weights_format(kind)}};
  for (const auto& [key, value] : notes) {
    metadata[std::string(kNotePrefix) + utf8_from_bytes(key)] = utf8_from_bytes(value);
  }
  return metadata;
}

Notes notes_of(const Metadata& metadata) {
  Notes notes;
  for (const auto& [key, value] : metadata) {
    if (!key.starts_with(kNotePrefix)) continue;
    notes[bytes_from_utf8(std::string_view(key).substr(kNotePrefix.size()))] =
        bytes_from_utf8(value);
  }
  return notes;
}

void check_format(const Metadata& metadata, const char* kind, const std::filesystem::path& path) {
  const std::string format = format_of(metadata), name = path.string();
  if (format == weights_format(kind)) return;
  check(is_of_kind(metadata, kind), kind, "'{}' is no {}: its metadata do not have format '{}'",
        name, kind, weights_format(kind));
  check(format != weights_format(kind, 1), kind,
        "'{}' has format '{}', of an earlier maskgrad: go on with that one, or begin a new run "
        "with its weights (--init)",
        name, shortened(format));
  fail(kind, "'{}' has format {}, and this maskgrad reads '{}': take a newer one", name,
       quote(format), weights_format(kind));
}

}  // namespace maskgrad
