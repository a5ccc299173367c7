// The protobuf wire format: what tf.train.Example records and TensorBoard events are made of.
//
// A message is a run of fields: a varint tag, field number << 3 | wire type, then the value.
// Source: protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace maskgrad {

enum class WireType : std::uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kGroupBegin = 3,
  kGroupEnd = 4,
  kFixed32 = 5,
};

/// Appends fields to a message under construction.
class WireWriter {
 public:
  /// An int64 as protobuf does it: a negative one takes ten bytes.
  void add_int64(std::uint32_t field, std::int64_t value);
  void add_float(std::uint32_t field, float value);
  void add_double(std::uint32_t field, double value);
  /// A string, bytes or an encoded message.
  void add_bytes(std::uint32_t field, std::string_view value);
  /// Packed repeated fields; an empty list writes nothing, as protobuf does.
  void add_packed(std::uint32_t field, std::span<const std::int64_t> values);
  void add_packed(std::uint32_t field, std::span<const float> values);
  void add_packed(std::uint32_t field, std::span<const double> values);

  const std::string& bytes() const { return bytes_; }

 private:
  void add_tag(std::uint32_t field, WireType type);

  std::string bytes_;
};

/// Reads a message field by field. Where the bytes are malformed it throws Error
/// "[protobuf] <where>: byte 12: truncated"; the offset counts from the outermost message.
///
///   while (reader.next()) {
///     if (reader.is(1, WireType::kBytes)) name = reader.bytes();
///   }                                      // a value not asked for is skipped
class WireReader {
 public:
  /// `message` must outlive the reader, `where` says in errors whose bytes these are.
  WireReader(std::string_view message, std::string_view where);

  /// Moves to the next field; false at the end of the message.
  bool next();
  std::uint32_t field() const { return field_; }
  WireType type() const { return type_; }
  /// Whether the current field has this number and wire type. One that has another wire type than
  /// expected counts as unknown, as in protobuf.
  bool is(std::uint32_t field, WireType type) const { return field_ == field && type_ == type; }

  /// The value of the current field, once; the wire type must be the one that goes with it.
  std::int64_t int64();
  float float32();
  double float64();
  std::string_view bytes();
  /// bytes() that must be UTF-8, as a proto3 string must.
  std::string string();
  /// bytes() as a message of its own.
  WireReader message();
  /// Appends the current field's value or values: protobuf takes packed and unpacked alike.
  /// Returns false, taking nothing, when the wire type is neither.
  bool append_to(std::vector<std::int64_t>& values);
  bool append_to(std::vector<float>& values);
  bool append_to(std::vector<double>& values);

 private:
  [[noreturn]] void fail_here(const char* why) const;
  std::uint64_t varint();
  std::string_view take(std::uint64_t count);
  void skip_value();
  void skip_group(std::uint32_t field);
  template <class Word, class T>
  bool append_fixed(WireType single, std::vector<T>& values);

  std::string_view rest_;
  const char* begin_;  // of the outermost message
  std::string_view where_;
  int depth_ = 0;
  std::uint32_t field_ = 0;
  WireType type_ = WireType::kVarint;
  bool taken_ = true;
};

}  // namespace maskgrad
