// Folders of data shards, and the index that says what belongs there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <maskgrad/train/formats/digest.hpp>

namespace maskgrad {

/// What an index says of one shard.
struct ShardEntry {
  std::string name;  // of the file, in the index's folder
  std::int64_t records = 0;
  Digest digest;
};

/// The path of the index: `shards.json`, beside the shards that it lists. TFRecord guards each
/// record by itself. The index guards the whole: it reveals a shard that was cut between two
/// records, emptied, exchanged, added or removed.
///
///   {"format": "maskgrad shards", "version": 1, "shards": [
///     {"name": "shard_0000.tfrecords", "records": 1000, "bytes": 58412, "crc32c": "1a2b3c4d"}]}
///
/// `shards` is null while the data are not all written.
std::filesystem::path shard_index_path(const std::filesystem::path& folder);

/// Writes the index. Throws Error as AtomicFile, and for a name that is not UTF-8.
void write_shard_index(const std::filesystem::path& folder, const std::vector<ShardEntry>& shards);

/// Writes an index that says that the data are not all written yet. list_shards() refuses the
/// folder until write_shard_index() is called. Throws Error as AtomicFile.
void write_unfinished_shard_index(const std::filesystem::path& folder);

/// The shards that the text of an index lists. Throws Error "[data] '<file>': byte 12: ..." for a
/// text that is no index, and for an index that is unfinished or of a newer version.
std::vector<ShardEntry> parse_shard_index(std::string_view text, const std::string& file);

/// The first `limit` of the `*.tfrecords` files of a folder, sorted by name. With 0 it returns all.
/// Where the folder has an index, the folder's shards must be the listed ones, and the returned
/// ones must have the listed bytes. Throws Error, in one line that says what to do, when they
/// differ. Throws Error when the folder cannot be read, holds no shard, or holds fewer than
/// `limit`.
std::vector<std::filesystem::path> list_shards(const std::filesystem::path& folder,
                                               std::int64_t limit = 0);

/// Throws Error unless a shard has the bytes that the index beside it lists. Accepts a shard that
/// is not listed, and one without an index beside it.
void check_shard(const std::filesystem::path& path);

}  // namespace maskgrad
