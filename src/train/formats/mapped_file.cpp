#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/mapped_file.hpp>

namespace maskgrad {
namespace {

const char* map_pages(const InputFile& file, std::uint64_t size) {
  void* const pages =
      ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, file.descriptor(), 0);
  if (pages == MAP_FAILED) fail_file("cannot map", file.path(), errno);
  return static_cast<const char*>(pages);
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
  InputFile file(path_);
  size_ = file.size();
  if (size_ > kMapped) {
    pages_ = map_pages(file, size_);
    return;
  }
  bytes_ = read_rest(file);
  size_ = bytes_.size();
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
