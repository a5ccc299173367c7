// Lines of standard input.
#pragma once

#include <cstdint>
#include <string>

#include <maskgrad/tensor/error.hpp>

namespace maskgrad::apps {

/// A line of standard input that is too long to be read. The next one can be.
struct LongLine : Error {
  using Error::Error;
};

/// Reads standard input line by line, as they come.
class InputLines {
 public:
  /// The next line without its end (\n or \r\n); false when there is none. Throws LongLine "[stdin]
  /// ..." for a line of more than 1 MiB, and Error where the system refuses, and for one without an
  /// end within 256 MiB.
  bool next(std::string& line);
  /// Lines read so far.
  std::int64_t count() const { return count_; }

 private:
  bool read_more();
  void skip_line();

  std::string buffer_;
  std::size_t used_ = 0;  // bytes of buffer_ that were given out
  std::int64_t count_ = 0;
  bool is_within_line_ = false;  // what comes is the rest of a line that was too long
};

}  // namespace maskgrad::apps
