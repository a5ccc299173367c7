#include <bit>
#include <cstddef>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/protobuf.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

/// Messages and groups within one another, protobuf's default limit.
constexpr int kMaxDepth = 100;

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

}  // namespace

void WireWriter::add_tag(std::uint32_t field, WireType type) {
  append_varint(bytes_, field << 3 | static_cast<std::uint32_t>(type));
}

void WireWriter::add_int64(std::uint32_t field, std::int64_t value) {
  add_tag(field, WireType::kVarint);
  append_varint(bytes_, static_cast<std::uint64_t>(value));
}

void WireWriter::add_float(std::uint32_t field, float value) {
  add_tag(field, WireType::kFixed32);
  append_little_endian(bytes_, std::bit_cast<std::uint32_t>(value));
}

void WireWriter::add_double(std::uint32_t field, double value) {
  add_tag(field, WireType::kFixed64);
  append_little_endian(bytes_, std::bit_cast<std::uint64_t>(value));
}

void WireWriter::add_bytes(std::uint32_t field, std::string_view value) {
  add_tag(field, WireType::kBytes);
  append_varint(bytes_, value.size());
  bytes_.append(value);
}

void WireWriter::add_packed(std::uint32_t field, std::span<const std::int64_t> values) {
  if (values.empty()) return;
  std::string packed;
  for (const std::int64_t value : values) append_varint(packed, static_cast<std::uint64_t>(value));
  add_bytes(field, packed);
}

void WireWriter::add_packed(std::uint32_t field, std::span<const float> values) {
  if (values.empty()) return;
  std::string packed;
  for (const float value : values)
    append_little_endian(packed, std::bit_cast<std::uint32_t>(value));
  add_bytes(field, packed);
}

void WireWriter::add_packed(std::uint32_t field, std::span<const double> values) {
  if (values.empty()) return;
  std::string packed;
  for (const double value : values) {
    append_little_endian(packed, std::bit_cast<std::uint64_t>(value));
  }
  add_bytes(field, packed);
}

WireReader::WireReader(std::string_view message, std::string_view where)
    : rest_(message), begin_(message.data()), where_(where) {}

void WireReader::fail_here(const char* why) const {
  fail("protobuf", "{}: byte {}: {}", where_, rest_.data() - begin_, why);
}

std::uint64_t WireReader::varint() {
  constexpr int kMaxBytes = 10;
  std::uint64_t value = 0;
  for (int i = 0; i < kMaxBytes; ++i) {
    if (rest_.empty()) fail_here("truncated");
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  fail_here("a varint has more than 10 bytes");
}

std::string_view WireReader::take(std::uint64_t count) {
  if (count > rest_.size()) fail_here("truncated");
  const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(count));
  rest_.remove_prefix(taken.size());
  return taken;
}

bool WireReader::next() {
  if (!taken_) skip_value();
  if (rest_.empty()) return false;
  const std::size_t before = rest_.size();
  const std::uint64_t tag = varint();
  if (tag > UINT32_MAX || before - rest_.size() > 5) fail_here("the tag is too long");
  field_ = static_cast<std::uint32_t>(tag >> 3);
  if (field_ == 0) fail_here("field number 0");
  if ((tag & 7) > 5) fail_here("unknown wire type");
  type_ = static_cast<WireType>(tag & 7);
  taken_ = false;
  return true;
}

void WireReader::skip_value() {
  taken_ = true;
  switch (type_) {
    case WireType::kVarint:
      varint();
      return;
    case WireType::kFixed64:
      take(8);
      return;
    case WireType::kBytes:
      take(varint());
      return;
    case WireType::kFixed32:
      take(4);
      return;
    case WireType::kGroupBegin:
      skip_group(field_);
      return;
    case WireType::kGroupEnd:
      fail_here("a group ends that did not begin");
  }
}

void WireReader::skip_group(std::uint32_t field) {
  if (++depth_ > kMaxDepth) fail_here("groups are nested too deeply");
  for (;;) {
    if (!next()) fail_here("truncated in a group");
    if (type_ == WireType::kGroupEnd) break;
    skip_value();
  }
  if (field_ != field) fail_here("a group ends as another began");
  taken_ = true;
  --depth_;
}

std::int64_t WireReader::int64() {
  taken_ = true;
  return static_cast<std::int64_t>(varint());
}

float WireReader::float32() {
  taken_ = true;
  return std::bit_cast<float>(load_little_endian<std::uint32_t>(take(4).data()));
}

double WireReader::float64() {
  taken_ = true;
  return std::bit_cast<double>(load_little_endian<std::uint64_t>(take(8).data()));
}

std::string_view WireReader::bytes() {
  taken_ = true;
  return take(varint());
}

std::string WireReader::string() {
  const std::string_view text = bytes();
  if (!is_utf8(text)) fail_here("a string is not UTF-8");
  return std::string(text);
}

WireReader WireReader::message() {
  WireReader inner(bytes(), where_);
  inner.begin_ = begin_;
  inner.depth_ = depth_ + 1;
  return inner;
}

bool WireReader::append_to(std::vector<std::int64_t>& values) {
  if (type_ == WireType::kVarint) {
    values.push_back(int64());
  } else if (type_ == WireType::kBytes) {
    for (WireReader packed = message(); !packed.rest_.empty();) values.push_back(packed.int64());
  } else {
    return false;
  }
  return true;
}

template <class Word, class T>
bool WireReader::append_fixed(WireType single, std::vector<T>& values) {
  if (type_ != single && type_ != WireType::kBytes) return false;
  taken_ = true;
  const std::string_view packed = take(type_ == single ? sizeof(Word) : varint());
  if (packed.size() % sizeof(Word) != 0) fail_here("a packed list ends within a value");
  for (std::size_t at = 0; at < packed.size(); at += sizeof(Word)) {
    values.push_back(std::bit_cast<T>(load_little_endian<Word>(packed.data() + at)));
  }
  return true;
}

bool WireReader::append_to(std::vector<float>& values) {
  return append_fixed<std::uint32_t>(WireType::kFixed32, values);
}

bool WireReader::append_to(std::vector<double>& values) {
  return append_fixed<std::uint64_t>(WireType::kFixed64, values);
}

}  // namespace maskgrad
