// safetensors files as bytes: names, dtypes, shapes and data, not yet tensors.
//
// u64 little-endian N | N bytes of JSON | data. The JSON maps each name to
// {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, offsets relative to the data;
// "__metadata__" maps strings to strings. Values are little-endian and row-major.
// Source: github.com/huggingface/safetensors.
//
// A digest of the whole file may stand among the metadata: "maskgrad.crc32c" maps to the CRC-32C of
// all bytes, in eight hexadecimal digits, taken with "00000000" in its own place. Other readers see
// one more text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace maskgrad {

namespace safetensors_parts {
struct Layout;
}

/// One tensor of a file. `dtype` is the format's own name: BOOL U8 I8 I16 U16 F16 BF16 I32 U32 F32
/// I64 U64 F64, or one of the reference's rarer ones (C64, F8_E4M3, F4 and others).
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string_view data;
};

/// Bits of one element of the dtype with this name; 0 when the format has no such dtype.
int safetensors_bits(std::string_view dtype);

using Metadata = std::map<std::string, std::string>;

/// A file that was read and found sound. Its verdict is that of the reference implementation, but
/// for files with a digest: those must match it. A file whose metadata "format" is "maskgrad ..."
/// must have one, unless it ends in " 1": the first version knew none. Copies share the bytes.
class SafetensorsFile {
 public:
  /// Reads the whole file, which must be a regular one. Takes memory for the data only where the
  /// header fits the file. Throws Error "[safetensors] 'x': <where and what is wrong>", for one
  /// "[safetensors] 'x': its bytes do not match its digest: the file is damaged".
  static SafetensorsFile open(const std::filesystem::path& path);
  /// A file already in memory; `name` is what errors call it. Throws as open().
  SafetensorsFile(std::string bytes, const std::string& name);

  /// Sorted by where their data lies, then by name. `data` points into bytes this object owns.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  /// Without the digest.
  const Metadata& metadata() const { return metadata_; }
  /// Whether the file holds a digest, which then was verified.
  bool has_digest() const { return has_digest_; }
  /// Names and metadata keys that the header gives more than once. The format forbids them, yet the
  /// reference accepts them and the last one counts, and so it is here; see load_tensors.
  const std::vector<std::string>& repeated_keys() const { return repeated_keys_; }

 private:
  SafetensorsFile(std::string bytes, std::size_t header_end, safetensors_parts::Layout layout,
                  const std::string& name);

  std::shared_ptr<const std::string> bytes_;
  std::vector<SafetensorsEntry> entries_;
  Metadata metadata_;
  std::vector<std::string> repeated_keys_;
  bool has_digest_ = false;
};

enum class SafetensorsDigest { kNone, kWritten };

/// Writes a file, sorted by dtype size, largest first, then by name, so that the data is aligned
/// and equal content gives equal bytes. It appears whole or not at all (AtomicFile).
/// Throws Error for an unknown dtype, data of another size than the shape says, metadata with the
/// digest's key, or a name that is repeated, not UTF-8 or "__metadata__".
void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsEntry> entries,
                       const Metadata& metadata = {},
                       SafetensorsDigest digest = SafetensorsDigest::kNone);

}  // namespace maskgrad
