#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/mapped_file.hpp>
#include <maskgrad/train/formats/open_file.hpp>

namespace maskgrad {
namespace {

struct Mapping {
  const char* pages = nullptr;
  std::uint64_t size = 0;
};

// Nothing for a file that is too small to be mapped.
Mapping map_if_large(const std::filesystem::path& path) {
  const int descriptor = open_regular_file(path);
  struct stat status {};
  int code = ::fstat(descriptor, &status) == 0 ? 0 : errno;
  Mapping mapping{nullptr, static_cast<std::uint64_t>(status.st_size)};
  if (code == 0 && mapping.size > MappedFile::kMapped) {
    void* const pages =
        ::mmap(nullptr, mapping.size, PROT_READ, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
    if (pages == MAP_FAILED)
      code = errno;
    else
      mapping.pages = static_cast<const char*>(pages);
  }
  ::close(descriptor);
  if (code != 0) fail_file("cannot map", path, code);
  return mapping;
}

// To touch a page that the file has no more kills the process. The system's own copy says EFAULT.
// Returns how many bytes were copied, 0 when the first one is not there.
std::size_t copy_what_is_there(const char* from, std::span<char> out) {
  const iovec to{out.data(), out.size()}, pages{const_cast<char*>(from), out.size()};
  const ssize_t copied = ::process_vm_readv(::getpid(), &to, 1, &pages, 1, 0);
  if (copied >= 0) return static_cast<std::size_t>(copied);
  if (errno == EFAULT) return 0;
  std::memcpy(out.data(), from, out.size());  // where a sandbox forbids the call
  return out.size();
}

}  // namespace

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
  const Mapping mapping = map_if_large(path_);
  pages_ = mapping.pages;
  if (pages_ == nullptr) bytes_ = read_file(path_);
  size_ = pages_ != nullptr ? mapping.size : bytes_.size();
}

MappedFile::~MappedFile() {
  if (pages_ != nullptr) ::munmap(const_cast<char*>(pages_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      bytes_(std::move(other.bytes_)),
      pages_(std::exchange(other.pages_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

void MappedFile::read(std::uint64_t offset, std::span<char> out) const {
  check(offset <= size_ && out.size() <= size_ - offset, "file",
        "cannot read {} bytes of '{}' from byte {} on: it has {}", out.size(), path_.string(),
        offset, size_);
  if (pages_ == nullptr) {
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return;
  }
  for (std::size_t done = 0; done < out.size();) {
    const std::size_t copied = copy_what_is_there(pages_ + offset + done, out.subspan(done));
    check(copied > 0, "file",
          "cannot read '{}' at byte {}: it became shorter since it was opened, or the disk failed",
          path_.string(), offset + done);
    done += copied;
  }
}

}  // namespace maskgrad
