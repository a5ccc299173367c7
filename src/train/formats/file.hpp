// Files read and written front to back, with errors that name the file and the reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace maskgrad {

/// Throws Error "[file] <what> '<path>': <text of the errno value `code`>".
[[noreturn]] void fail_file(const char* what, const std::filesystem::path& path, int code);

/// A file open for reading, buffered. Every member throws Error where the system refuses.
class InputFile {
 public:
  /// Throws Error "[file] cannot open 'x': No such file or directory".
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Bytes in the file now; 0 for what has no size (a pipe).
  std::uint64_t size() const;
  /// Reads up to `count` bytes to `out`; fewer only where the file ends. Returns how many.
  std::size_t read(char* out, std::size_t count);

 private:
  std::size_t read_some(char* out, std::size_t count);

  std::filesystem::path path_;
  int descriptor_;
  std::string buffer_;
  std::size_t used_ = 0;
};

/// A file being written, buffered. Bytes reach the system by flush(), or once enough gathered.
class OutputFile {
 public:
  enum class Mode {
    kNew,       ///< the file must not exist
    kTruncate,  ///< an existing file is emptied
  };

  /// Throws Error "[file] cannot create 'x': <reason>".
  OutputFile(std::filesystem::path path, Mode mode);
  /// Writes what is buffered, ignoring failure: call flush() or close() to hear of it.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Appends, in one piece: a flush never divides it. Throws Error "[file] cannot write 'x': No
  /// space left on device".
  void write(std::string_view bytes);
  /// Hands everything written so far to the system. Throws as write(); the file then keeps what
  /// earlier flushes wrote and nothing of this one.
  void flush();
  /// flush(), then waits until the bytes are on the disk.
  void sync();
  /// flush(), then closes; nothing may be written after it.
  void close();

 private:
  std::filesystem::path path_;
  int descriptor_;
  std::int64_t size_ = 0;  // bytes flushed
  std::string buffer_;
};

/// All bytes of a file. Throws Error "[file] cannot open 'x': No such file or directory".
std::string read_file(const std::filesystem::path& path);

}  // namespace maskgrad
