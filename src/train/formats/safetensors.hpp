// safetensors files as bytes: names, dtypes, shapes and data, not yet tensors.
//
// u64 little-endian N | N bytes of JSON | data. The JSON maps each name to
// {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, offsets relative to the data;
// "__metadata__" maps strings to strings. Values are little-endian and row-major.
// Source: github.com/huggingface/safetensors.
//
// The metadata may hold a digest of the whole file: "maskgrad.crc32c" maps to the CRC-32C of all
// bytes, in eight hexadecimal digits. It is computed with "00000000" in place of these digits.
// Other readers see one more text.
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

/// A file that was read and found sound. It accepts and refuses the files that the reference
/// implementation accepts and refuses, and checks digests besides. A file with a digest must match
/// it. A file whose metadata "format" is "maskgrad ..." must have a digest, unless that text ends
/// in " 1": the first version had none. Copies share the bytes.
class SafetensorsFile {
 public:
  /// Reads the whole file. It must be a regular file. Takes memory for the data only where the
  /// header fits the file. Throws Error "[safetensors] 'x': <where and what is wrong>", for example
  /// "[safetensors] 'x': its bytes do not match its digest: the file is damaged". Throws as
  /// InputFile.
  static SafetensorsFile open(const std::filesystem::path& path);
  /// A file already in memory; `name` is what errors call it. Throws as open().
  SafetensorsFile(std::string bytes, const std::string& name);

  /// Sorted by where their data lies, then by name. `data` points into bytes this object owns.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  /// Without the digest.
  const Metadata& metadata() const { return metadata_; }
  /// Whether the file holds a digest, which then was verified.
  bool has_digest() const { return has_digest_; }
  /// Names and metadata keys that the header gives more than once. The format forbids them. The
  /// reference accepts them and takes the last one, and so does this class. load_tensors() refuses
  /// such a file.
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

/// Writes a file. Tensors are sorted by the size of their dtype, largest first, then by name. So
/// the data is aligned, and equal content gives equal bytes. The file appears whole or not at all.
/// Throws Error for an unknown dtype, for data of another size than the shape says, for metadata
/// with the digest's key, and for a name that is repeated, not UTF-8 or "__metadata__". Throws as
/// AtomicFile.
void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsEntry> entries,
                       const Metadata& metadata = {},
                       SafetensorsDigest digest = SafetensorsDigest::kNone);

}  // namespace maskgrad
