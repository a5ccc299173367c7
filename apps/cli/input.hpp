// Lines of standard input.
#pragma once

#include <cstdint>
#include <string>

namespace maskgrad::apps {

/// Reads standard input line by line, as they come.
class InputLines {
 public:
  /// The next line without its end (\n or \r\n); false when there is none. Throws Error "[stdin]
  /// ..." where the system refuses, and for a line of more than 1 MiB.
  bool next(std::string& line);
  /// Lines read so far.
  std::int64_t count() const { return count_; }

 private:
  bool read_more();

  std::string buffer_;
  std::size_t used_ = 0;  // bytes of buffer_ that were given out
  std::int64_t count_ = 0;
};

}  // namespace maskgrad::apps
