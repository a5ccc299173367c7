// Files whose bytes can be read at any place, also where they are more than memory holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace maskgrad {

/// The bytes that a regular file has when it is opened. A file of more than kMapped bytes is mapped
/// into memory: the system reads pages when they are needed, and drops them when memory is short.
/// Smaller ones are read at once, as pages and mappings would cost more. (Linux maps 65530 files
/// for a process.) No descriptor stays open. Any number of threads may read.
///
/// A file that is removed or replaced by another stays readable. One that is written to may give
/// its new bytes.
class MappedFile {
 public:
  static constexpr std::uint64_t kMapped = 1 << 16;

  /// Throws Error as InputFile, and "[file] cannot map 'x': Cannot allocate memory".
  explicit MappedFile(std::filesystem::path path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Copies the bytes from `offset` on to `out`. Throws Error for bytes that the file did not have,
  /// and for bytes that it has no more: "[file] cannot read 'x' at byte 8192: it became shorter
  /// since it was opened, or the disk failed".
  void read(std::uint64_t offset, std::span<char> out) const;

 private:
  std::filesystem::path path_;
  std::string bytes_;            // of a file that is not mapped
  const char* pages_ = nullptr;  // of one that is
  std::uint64_t size_ = 0;
};

}  // namespace maskgrad
