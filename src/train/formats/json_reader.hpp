// A strict JSON reader that hands out one value at a time and stores nothing itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace maskgrad {

/// Reads one JSON text (RFC 8259) front to back; the caller says what it expects next, or skip()s.
/// As strict as Rust's serde_json, which the reference safetensors reader uses: UTF-8 only, no byte
/// order mark, no trailing comma, no lone surrogate, no number beyond double, at most 127 levels of
/// nesting. Repeated keys are handed out like any other. Every member throws Error
/// "[name] <where> byte 12: expected ','".
///
///   json.enter_object();
///   for (std::string key; json.next_member(key);) key == "size" ? use(json.integer()) :
///   json.skip(); json.finish();
class JsonReader {
 public:
  /// `text` must outlive the reader.
  JsonReader(std::string_view text, const char* name, std::string where);

  /// Whether the next value is `null`.
  bool is_null() { return front() == 'n'; }
  /// Whether the next value is a string.
  bool is_string() { return front() == '"'; }
  void enter_object();
  /// Moves to the next member and gives its key; false, leaving the object, at its end.
  bool next_member(std::string& key);
  void enter_array();
  /// Moves to the next element; false, leaving the array, at its end.
  bool next_element();
  std::string string();
  /// A whole number from 0 to 2^64 - 1, written without sign, fraction or exponent.
  std::uint64_t integer();
  /// A number that a double holds, rounded to the nearest one.
  double real();
  /// Passes over one value of any kind, which must be well-formed all the same.
  void skip();
  /// Throws unless only white space is left.
  void finish();
  /// Throws Error "[name] <where> byte <where the reader stands>: <why>".
  [[noreturn]] void fail_here(const char* why) const;

 private:
  char front();
  char take();
  void expect(char c, const char* why);
  void enter(char open, const char* why);
  bool next_item(char close, const char* why);
  void skip_word(std::string_view word);
  void skip_digits();
  std::string_view number();
  void append_escape(std::string& out);
  std::uint32_t hex4();

  std::string_view text_;
  const char* name_;
  std::string where_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool is_first_ = false;  // no item of the container just entered was read yet
};

}  // namespace maskgrad
