// Text that comes in pieces, such as single bytes.
#pragma once

#include <string>
#include <string_view>

namespace maskgrad::apps {

/// Gives text on in whole characters as long as it is UTF-8, so that no reader sees half of one.
class TextStream {
 public:
  enum class To {
    kTerminal,  // other control characters than \n and \t, and bytes that are no UTF-8, as \x1b
    kFile,      // all bytes as they are
  };
  explicit TextStream(To to) : to_(to) {}

  /// What can be shown now of this piece and those before it.
  std::string take(std::string_view piece);
  /// What is left: the beginning of a character that never came.
  std::string finish();

 private:
  std::string shown(std::string_view text) const;

  To to_;
  std::string held_;
};

}  // namespace maskgrad::apps
