#include <array>
#include <cstddef>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/crc32c.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

namespace maskgrad {
namespace {

constexpr std::size_t kLengthSize = 8;
constexpr std::size_t kCrcSize = 4;
constexpr std::size_t kHeaderSize = kLengthSize + kCrcSize;

bool crc_matches(std::string_view bytes, const char* stored) {
  return masked_crc32c(bytes) == load_little_endian<std::uint32_t>(stored);
}

}  // namespace

void append_record(std::string& out, std::string_view data) {
  const std::size_t begin = out.size();
  append_little_endian(out, static_cast<std::uint64_t>(data.size()));
  append_little_endian(out, masked_crc32c(std::string_view(out).substr(begin)));
  out.append(data);
  append_little_endian(out, masked_crc32c(data));
}

void RecordWriter::write(std::string_view data) {
  framed_.clear();
  append_record(framed_, data);
  file_.write(framed_);
  digest_.add(framed_);
  ++count_;
}

bool RecordReader::next(std::string& data) {
  begin_ = offset_;
  std::array<char, kHeaderSize> header;
  const std::size_t got = file_.read(header.data(), header.size());
  if (got == 0) return false;
  if (got < header.size()) {
    if (cut_ == CutHeader::kRefused) fail_record("truncated in its header");
    overlooked_ = got;
    return false;
  }
  if (!crc_matches({header.data(), kLengthSize}, header.data() + kLengthSize)) {
    fail_record("length checksum does not match");
  }
  const auto length = load_little_endian<std::uint64_t>(header.data());
  // Compared before anything is allocated, and in this form because length + 4 may overflow.
  const std::uint64_t after_header = begin_ + kHeaderSize;
  const std::uint64_t size = file_.size();
  const std::uint64_t left = size > after_header ? size - after_header : 0;
  if (left < kCrcSize || length > left - kCrcSize) fail_record("truncated in its data");

  data.resize(static_cast<std::size_t>(length));
  std::array<char, kCrcSize> crc;
  if (file_.read(data.data(), data.size()) < data.size() ||
      file_.read(crc.data(), crc.size()) < crc.size()) {
    fail_record("truncated in its data");
  }
  if (!crc_matches(data, crc.data())) fail_record("data checksum does not match");
  offset_ = after_header + length + kCrcSize;
  digest_.add({header.data(), header.size()});
  digest_.add(data);
  digest_.add({crc.data(), crc.size()});
  ++count_;
  return true;
}

std::string RecordReader::where() const {
  return fmt::format("'{}': record {} at byte {}", file_.path().string(),
                     count_ == 0 ? 0 : count_ - 1, begin_);
}

void RecordReader::fail_record(const char* why) const {
  fail("tfrecord", "'{}': record {} at byte {}: {}", file_.path().string(), count_, begin_, why);
}

}  // namespace maskgrad
