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
#include <maskgrad/train/formats/system_call.hpp>

namespace maskgrad {
namespace {

constexpr std::size_t kBufferSize = 1 << 16;

int flags_of(OutputFile::Mode mode) {
  switch (mode) {
    case OutputFile::Mode::kNew:
      return O_CREAT | O_EXCL;
    case OutputFile::Mode::kTruncate:
      return O_CREAT | O_TRUNC;
    case OutputFile::Mode::kAppend:
      return 0;
  }
  return 0;
}

// A descriptor of a regular file.
int open_regular_file(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a pipe that nobody writes to waits for ever.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  const int descriptor = again_if_interrupted([&] { return ::open(path.c_str(), flags); });
  if (descriptor < 0) fail_file("cannot open", path, errno);
  struct stat status {};
  const int code = ::fstat(descriptor, &status) == 0 ? 0 : errno;
  if (code == 0 && S_ISREG(status.st_mode)) return descriptor;
  ::close(descriptor);
  if (code != 0) fail_file("cannot read", path, code);
  if (S_ISDIR(status.st_mode)) fail_file("cannot read", path, EISDIR);
  fail("file", "cannot read '{}': it is no regular file", path.string());
}

}  // namespace

void fail_file(const char* what, const std::filesystem::path& path, int code) {
  fail("file", "{} '{}': {}", what, path.string(), std::generic_category().message(code));
}

InputFile::InputFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(open_regular_file(path_)) {}

InputFile::~InputFile() { ::close(descriptor_); }

std::uint64_t InputFile::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_file("cannot read", path_, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

std::size_t InputFile::read_some(char* out, std::size_t count) {
  const ssize_t got = again_if_interrupted([&] { return ::read(descriptor_, out, count); });
  if (got < 0) fail_file("cannot read", path_, errno);
  return static_cast<std::size_t>(got);
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

OutputFile::OutputFile(std::filesystem::path path, Mode mode, std::filesystem::path shown)
    : path_(std::move(path)), shown_(shown.empty() ? path_ : std::move(shown)) {
  // O_APPEND: after a flush was taken back, the next one must not leave a hole.
  // O_NONBLOCK: opening a pipe that nobody reads would wait for ever; writing to one may wait.
  const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | flags_of(mode);
  descriptor_ = again_if_interrupted([&] { return ::open(path_.c_str(), flags, 0666); });
  const char* const what = mode == Mode::kAppend ? "cannot open" : "cannot create";
  check(descriptor_ >= 0 || errno != ENXIO, "file", "cannot write '{}': nobody reads from it",
        shown_.string());
  if (descriptor_ < 0) fail_file(what, shown_, errno);
  ::fcntl(descriptor_, F_SETFL, ::fcntl(descriptor_, F_GETFL) & ~O_NONBLOCK);
  struct stat status {};
  if (::fstat(descriptor_, &status) == 0) size_ = status.st_size;
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
  if (broken_ != 0) fail_file("cannot write", shown_, broken_);
  // Taken out first, so that a failure is reported once and not tried again by the destructor.
  const std::string bytes = std::exchange(buffer_, {});
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = again_if_interrupted(
        [&] { return ::write(descriptor_, bytes.data() + done, bytes.size() - done); });
    if (wrote <= 0) take_back(wrote < 0 ? errno : EIO);
    done += static_cast<std::size_t>(wrote);
  }
  size_ += static_cast<std::int64_t>(bytes.size());
}

/// Removes what a failed flush wrote, and throws for what failed it.
void OutputFile::take_back(int code) {
  const bool done = again_if_interrupted([&] { return ::ftruncate(descriptor_, size_); }) == 0;
  if (!done) broken_ = code;  // so it is with a device or a pipe, too
  fail_file("cannot write", shown_, code);
}

void OutputFile::sync() {
  flush();
  // EINVAL and EROFS: a device or pipe, which has nothing to wait for.
  const int result = again_if_interrupted([&] { return ::fsync(descriptor_); });
  if (result != 0 && errno != EINVAL && errno != EROFS) {
    fail_file("cannot write", shown_, errno);
  }
}

void OutputFile::close() {
  flush();
  // An interrupted close has closed all the same.
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) {
    fail_file("cannot write", shown_, errno);
  }
}

std::string read_file(const std::filesystem::path& path, std::uint64_t most) {
  InputFile file(path);
  return read_rest(file, most);
}

std::string read_rest(InputFile& file, std::uint64_t most) {
  const auto check_size = [&](std::uint64_t size) {
    check(size <= most, "file", "cannot read '{}': it has more than {} bytes", file.path().string(),
          most);
  };
  check_size(file.size());
  std::string bytes(file.size(), '\0');
  std::size_t done = 0;
  // The size is a hint only: another process may append meanwhile.
  for (;;) {
    done += file.read(bytes.data() + done, bytes.size() - done);
    if (done < bytes.size()) break;
    bytes.resize(bytes.size() + kBufferSize);
  }
  check_size(done);
  bytes.resize(done);
  return bytes;
}

}  // namespace maskgrad
