// For tests that read and write files: a folder of their own, the tests' data, bytes in hex.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace maskgrad::test {

/// An empty folder that goes away with the object.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const char* name) const { return path_ / name; }
  /// How many files and folders it holds.
  std::ptrdiff_t count() const;

 private:
  std::filesystem::path path_;
};

/// What stands at "models/arithmetic" of the source tree.
std::filesystem::path source_file(const char* name);

/// A file that stands in the tests' data folder.
std::filesystem::path test_data(const char* name);

/// The bytes that two hexadecimal digits each stand for.
std::string from_hex(std::string_view hex);

}  // namespace maskgrad::test
