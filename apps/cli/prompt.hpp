// The prompt at which a person types lines.
#pragma once

#include <memory>
#include <string>

namespace maskgrad::apps {

/// Shows "> " on standard error, and reads lines from the terminal. Where the program was built
/// with libedit, and the terminal can move its cursor, a line can be edited, and the lines before
/// come back with the arrow keys, as long as the object lives.
class Prompt {
 public:
  Prompt();
  ~Prompt();
  Prompt(const Prompt&) = delete;
  Prompt& operator=(const Prompt&) = delete;

  /// The next line without its end; false at the end: Ctrl-D, or the line "quit" or "exit". Throws
  /// Error "[stdin] ..." as InputLines.
  bool next(std::string& line);

 private:
  class Reader;
  class PlainReader;
  class EditingReader;

  std::unique_ptr<Reader> reader_;
};

}  // namespace maskgrad::apps
