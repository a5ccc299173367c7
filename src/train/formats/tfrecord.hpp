// TFRecord files: the framing of data shards and of TensorBoard event files.
//
// Each record: u64 little-endian length | u32 masked CRC-32C of those 8 bytes | data |
// u32 masked CRC-32C of the data. A file is records and nothing else; an empty one has none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/digest.hpp>

namespace maskgrad {

/// Appends `data`, framed as one record, to `out`.
void append_record(std::string& out, std::string_view data);

/// Writes a shard. The file appears under its name only on commit().
class RecordWriter {
 public:
  /// Throws as AtomicFile.
  explicit RecordWriter(const std::filesystem::path& path) : file_(path) {}
  /// Appends one record. Throws as AtomicFile.
  void write(std::string_view data);
  /// Completes the file, but for its name, as AtomicFile. Throws as AtomicFile.
  void finish() { file_.finish(); }
  /// Gives the finished file its name, as AtomicFile. Throws as AtomicFile.
  void take_name() { file_.take_name(); }
  /// Gives the complete file its name. It must be the last call. Throws as AtomicFile.
  void commit() { file_.commit(); }
  /// Records written so far.
  std::int64_t count() const { return count_; }
  /// The digest of all bytes written so far.
  const Digest& digest() const { return digest_; }

 private:
  AtomicFile file_;
  std::string framed_;
  std::int64_t count_ = 0;
  Digest digest_;
};

/// Reads a file record by record and verifies both checksums of each. It accepts and refuses what
/// tf.data.TFRecordDataset accepts and refuses, but for one case: a file that ends inside a
/// record's header. TensorFlow takes such a header for the end of the file. This class refuses the
/// file, unless kLikeTensorFlow is given.
class RecordReader {
 public:
  enum class CutHeader { kRefused, kLikeTensorFlow };

  /// Throws as InputFile.
  explicit RecordReader(const std::filesystem::path& path, CutHeader cut = CutHeader::kRefused)
      : file_(path), cut_(cut) {}
  /// Reads the next record into `data`. Returns false at the end of the file. Throws Error
  /// "[tfrecord] 'x': record 3 at byte 219: length checksum does not match", and likewise for the
  /// checksum of the data and for a truncated record. It never takes more memory than the file has
  /// bytes, whatever length a record claims.
  bool next(std::string& data);
  /// Records read so far.
  std::int64_t count() const { return count_; }
  /// The digest of all bytes read so far, the records' frames included.
  const Digest& digest() const { return digest_; }
  /// Bytes in the file.
  std::uint64_t bytes() const { return file_.size(); }
  /// Bytes of the cut header that TensorFlow overlooks; 0 for a sound file.
  std::size_t overlooked() const { return overlooked_; }
  /// "'x': record 3 at byte 219", for errors about what the last record holds.
  std::string where() const;

 private:
  [[noreturn]] void fail_record(const char* why) const;

  InputFile file_;
  CutHeader cut_;
  std::size_t overlooked_ = 0;
  std::int64_t count_ = 0;
  Digest digest_;
  std::uint64_t begin_ = 0;   // of the record being read or read last
  std::uint64_t offset_ = 0;  // of the first byte not read yet
};

}  // namespace maskgrad
