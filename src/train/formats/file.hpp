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

/// A regular file open for reading, buffered. Every member throws Error where the system refuses.
class InputFile {
 public:
  /// Throws Error "[file] cannot open 'x': No such file or directory", and "[file] cannot read
  /// '/dev/zero': it is no regular file" for devices, pipes and sockets: they have no end, or none
  /// that is known before it is reached.
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Bytes in the file now.
  std::uint64_t size() const;
  /// Reads up to `count` bytes to `out`; fewer only where the file ends. Returns how many.
  std::size_t read(char* out, std::size_t count);
  /// For calls of the system that the class has no function for. It stays the file's own.
  int descriptor() const { return descriptor_; }

 private:
  std::size_t read_some(char* out, std::size_t count);

  std::filesystem::path path_;
  int descriptor_;
  std::string buffer_;
  std::size_t used_ = 0;
};

/// A file being written, buffered. Bytes reach the system by flush(), or once the buffer is full.
class OutputFile {
 public:
  enum class Mode {
    kNew,       ///< the file must not exist
    kTruncate,  ///< an existing file is emptied
    kAppend,    ///< the file must exist, and what it holds stays
  };

  /// Errors call the file `shown`, the path itself when that is empty. Throws Error "[file] cannot
  /// create 'x': <reason>".
  OutputFile(std::filesystem::path path, Mode mode, std::filesystem::path shown = {});
  /// Writes what is buffered, ignoring failure: call flush() or close() to hear of it.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Appends, in one piece: a flush never divides it. Throws Error "[file] cannot write 'x': No
  /// space left on device".
  void write(std::string_view bytes);
  /// Hands everything written so far to the system. Throws as write(). After an error the file
  /// holds what earlier flushes wrote and nothing of this one, and writing may go on. Where the
  /// file cannot be cut back to that, every later flush throws.
  void flush();
  /// flush(), then waits until the bytes are on the disk.
  void sync();
  /// flush(), then closes; nothing may be written after it.
  void close();

 private:
  void take_back(int code);

  std::filesystem::path path_, shown_;
  int descriptor_;
  std::int64_t size_ = 0;  // bytes flushed
  std::string buffer_;
  int broken_ = 0;  // why a failed flush could not be taken back
};

/// All bytes of a regular file. Throws Error as InputFile, and "[file] cannot read 'x': it has more
/// than 1048576 bytes" for a file larger than `most`.
std::string read_file(const std::filesystem::path& path, std::uint64_t most = UINT64_MAX);
/// The same of a file that is open, from where it was read to.
std::string read_rest(InputFile& file, std::uint64_t most = UINT64_MAX);

}  // namespace maskgrad
