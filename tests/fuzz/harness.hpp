// What fuzzers share.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad::fuzz {

/// A regular file in memory that holds these bytes, for readers that want a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(::memfd_create("fuzz", 0)) {
    if (descriptor_ < 0 || ::write(descriptor_, bytes.data(), bytes.size()) < 0) std::abort();
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// What a fuzzer promises; the process ends where it does not hold.
inline void expect(bool holds) {
  if (!holds) std::abort();
}

/// read(bytes), which may refuse them with an Error.
template <class Read>
void attempt(Read read, std::string_view bytes) {
  try {
    read(bytes);
  } catch (const Error&) {
    return;
  }
}

}  // namespace maskgrad::fuzz
