// The one error type of the library, and the one way to raise it.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace maskgrad {

/// The error that the library throws. what() is one line: "[name] rule: actual values". Line ends
/// and other ASCII control characters, as a path may have them, are written as \n, \t, \r or
/// \x1b.
///
/// An error made while a Scope of this thread lives, such as a layer's, says so after the name:
/// "[linear] in layer 'block3.dense': rule: actual values". A text that names a layer already stays
/// as it is.
class Error : public std::runtime_error {
 public:
  Error(std::string_view name, std::string_view text);

  /// The two parts of what(), for whoever quotes one error inside another or prints it elsewhere.
  std::string_view name() const { return {what() + 1, name_size_}; }
  std::string_view text() const { return {what() + name_size_ + 3, text_size_}; }

  /// Names the layer that is at work here, for an error that was made where no Scope lived: on
  /// another thread, or in the backward pass.
  void name_layer() { *this = Error(name(), text()); }

 private:
  std::size_t name_size_, text_size_;
};

/// Throws Error(name, text), the text formatted as by fmt::format.
template <class... Args>
[[noreturn]] void fail(const char* name, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(name, fmt::format(format, std::forward<Args>(args)...));
}

/// fail(...) unless `condition` holds. Arguments are formatted only when it does not.
template <class... Args>
void check(bool condition, const char* name, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]]
    fail(name, format, std::forward<Args>(args)...);
}

/// Throws Error "[name] the input was used before it was given a value" unless `has_value`; there
/// `what` is "the input".
inline void check_given(bool has_value, const char* name, std::string_view what) {
  check(has_value, name, "{} was used before it was given a value", what);
}

}  // namespace maskgrad
