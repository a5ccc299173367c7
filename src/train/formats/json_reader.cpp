#include <charconv>
#include <cmath>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/json_reader.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

constexpr int kMaxDepth = 127;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_high_surrogate(std::uint32_t code) { return code >= 0xd800 && code < 0xdc00; }

bool is_low_surrogate(std::uint32_t code) { return code >= 0xdc00 && code < 0xe000; }

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

}  // namespace

JsonReader::JsonReader(std::string_view text, const char* name, std::string where)
    : text_(text), name_(name), where_(std::move(where)) {
  at_ = utf8_prefix(text);
  if (at_ != text.size()) fail_here("not UTF-8");
  at_ = 0;
}

void JsonReader::fail_here(const char* why) const {
  fail(name_, "{} byte {}: {}", where_, at_, why);
}

/// The first byte of what comes next, white space passed over; 0 at the end, which begins nothing.
char JsonReader::front() {
  while (at_ < text_.size() &&
         std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) {
    ++at_;
  }
  return at_ < text_.size() ? text_[at_] : '\0';
}

/// The next byte as it is, within a string.
char JsonReader::take() {
  if (at_ == text_.size()) fail_here("a string does not end");
  return text_[at_++];
}

void JsonReader::expect(char c, const char* why) {
  if (front() != c) fail_here(why);
  ++at_;
}

void JsonReader::enter(char open, const char* why) {
  expect(open, why);
  if (++depth_ > kMaxDepth) fail_here("nested too deeply");
  is_first_ = true;
}

bool JsonReader::next_item(char close, const char* why) {
  const bool is_first = std::exchange(is_first_, false);
  if (front() == close) {
    ++at_;
    --depth_;
    return false;
  }
  if (!is_first) expect(',', why);
  return true;
}

void JsonReader::enter_object() { enter('{', "expected an object"); }

bool JsonReader::next_member(std::string& key) {
  if (!next_item('}', "expected ',' or '}'")) return false;
  if (front() != '"') fail_here("expected a key");
  key = string();
  expect(':', "expected ':'");
  return true;
}

void JsonReader::enter_array() { enter('[', "expected an array"); }

bool JsonReader::next_element() { return next_item(']', "expected ',' or ']'"); }

std::string JsonReader::string() {
  expect('"', "expected a string");
  std::string out;
  for (;;) {
    const char c = take();
    if (c == '"') return out;
    if (static_cast<unsigned char>(c) < 0x20) fail_here("a control character in a string");
    if (c == '\\')
      append_escape(out);
    else
      out.push_back(c);
  }
}

void JsonReader::append_escape(std::string& out) {
  constexpr std::string_view kLetters = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const char letter = take();
  if (const std::size_t i = kLetters.find(letter); i != std::string_view::npos) {
    out.push_back(kMeanings[i]);
    return;
  }
  if (letter != 'u') fail_here("unknown escape in a string");
  std::uint32_t code = hex4();
  if (is_low_surrogate(code)) fail_here("a lone surrogate in a string");
  if (is_high_surrogate(code)) {
    if (take() != '\\' || take() != 'u') fail_here("a lone surrogate in a string");
    const std::uint32_t low = hex4();
    if (!is_low_surrogate(low)) fail_here("a lone surrogate in a string");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(out, code);
}

std::uint32_t JsonReader::hex4() {
  if (text_.size() - at_ < 4) fail_here("an escape is cut short");
  std::uint32_t code = 0;
  const char* begin = text_.data() + at_;
  if (std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4)
    fail_here("expected 4 hex digits");
  at_ += 4;
  return code;
}

void JsonReader::skip_digits() {
  if (at_ == text_.size() || !is_digit(text_[at_])) fail_here("expected a digit");
  while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
}

/// Passes over a number and returns its text.
std::string_view JsonReader::number() {
  const auto next_is = [&](char c) { return at_ < text_.size() && text_[at_] == c; };
  front();
  const std::size_t begin = at_;
  if (next_is('-')) ++at_;
  if (next_is('0'))
    ++at_;
  else
    skip_digits();
  if (next_is('.')) {
    ++at_;
    skip_digits();
  }
  if (next_is('e') || next_is('E')) {
    ++at_;
    if (next_is('+') || next_is('-')) ++at_;
    skip_digits();
  }
  return text_.substr(begin, at_ - begin);
}

std::uint64_t JsonReader::integer() {
  if (!is_digit(front()) && front() != '-') fail_here("expected a whole number");
  const std::string_view digits = number();
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, value);
  if (result.ec == std::errc::result_out_of_range) fail_here("a number does not fit 64 bits");
  if (result.ptr != end) fail_here("expected a whole number that is not negative");
  return value;
}

double JsonReader::real() {
  if (!is_digit(front()) && front() != '-') fail_here("expected a number");
  // Checked against the grammar by number(); strtod alone tells too small from too large.
  const double value = std::strtod(std::string(number()).c_str(), nullptr);
  if (std::isinf(value)) fail_here("a number is out of range");
  return value;
}

void JsonReader::skip_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) fail_here("expected a value");
  at_ += word.size();
}

void JsonReader::skip() {
  switch (const char c = front()) {
    case '{':
      enter_object();
      for (std::string key; next_member(key);) skip();
      return;
    case '[':
      enter_array();
      while (next_element()) skip();
      return;
    case '"':
      string();
      return;
    case 't':
      skip_word("true");
      return;
    case 'f':
      skip_word("false");
      return;
    case 'n':
      skip_word("null");
      return;
    default:
      if (!is_digit(c) && c != '-') fail_here("expected a value");
      real();
  }
}

void JsonReader::finish() {
  front();
  if (at_ != text_.size()) fail_here("unexpected text after the end");
}

}  // namespace maskgrad
