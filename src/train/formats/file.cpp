#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/file.hpp>

namespace maskgrad {
namespace {

constexpr std::size_t kBufferSize = 1 << 16;

}  // namespace

void fail_file(const char* what, const std::filesystem::path& path, int code) {
  fail("file", "{} '{}': {}", what, path.string(), std::generic_category().message(code));
}

InputFile::InputFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) fail_file("cannot open", path_, errno);
}

InputFile::~InputFile() { ::close(descriptor_); }

std::uint64_t InputFile::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_file("cannot read", path_, errno);
  return S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
}

std::size_t InputFile::read_some(char* out, std::size_t count) {
  for (;;) {
    const ssize_t got = ::read(descriptor_, out, count);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) fail_file("cannot read", path_, errno);
  }
}

std::size_t InputFile::read(char* out, std::size_t count) {
  std::size_t done = 0;
  while (done < count) {
    if (used_ == buffer_.size()) {
      used_ = 0;
      buffer_.resize(kBufferSize);
      buffer_.resize(read_some(buffer_.data(), kBufferSize));
      if (buffer_.empty()) break;
    }
    const std::size_t part = std::min(count - done, buffer_.size() - used_);
    std::memcpy(out + done, buffer_.data() + used_, part);
    used_ += part;
    done += part;
  }
  return done;
}

OutputFile::OutputFile(std::filesystem::path path, Mode mode) : path_(std::move(path)) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (mode == Mode::kNew ? O_EXCL : O_TRUNC);
  descriptor_ = ::open(path_.c_str(), flags, 0666);
  if (descriptor_ < 0) fail_file("cannot create", path_, errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  try {
    flush();
  } catch (const Error&) {  // a destructor cannot report it; flush() and close() do
  }
  ::close(descriptor_);
}

void OutputFile::write(std::string_view bytes) {
  buffer_.append(bytes);
  if (buffer_.size() >= kBufferSize) flush();
}

void OutputFile::flush() {
  // Taken out first, so that a failure is reported once and not tried again by the destructor.
  const std::string bytes = std::exchange(buffer_, {});
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (wrote >= 0) {
      done += static_cast<std::size_t>(wrote);
    } else if (const int code = errno; code != EINTR) {
      // Where that fails too (a device), there is no file to keep whole.
      [[maybe_unused]] const int ignored = ::ftruncate(descriptor_, size_);
      fail_file("cannot write", path_, code);
    }
  }
  size_ += static_cast<std::int64_t>(bytes.size());
}

void OutputFile::sync() {
  flush();
  // EINVAL and EROFS: a device or pipe, which has nothing to wait for.
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) {
    fail_file("cannot write", path_, errno);
  }
}

void OutputFile::close() {
  flush();
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_file("cannot write", path_, errno);
}

std::string read_file(const std::filesystem::path& path) {
  InputFile file(path);
  std::string bytes(file.size(), '\0');
  std::size_t done = 0;
  // The size is a hint only: a pipe has none, and another process may append meanwhile.
  for (;;) {
    done += file.read(bytes.data() + done, bytes.size() - done);
    if (done < bytes.size()) break;
    bytes.resize(bytes.size() + kBufferSize);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace maskgrad
