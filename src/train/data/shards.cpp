#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/data/shards.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/json_reader.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "data";
constexpr const char* kFormat = "maskgrad shards";
constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 26;
constexpr const char* kAdvice = "bring it back, or write the data again";

void write_index(const fs::path& folder, const std::string& shards) {
  write_file(shard_index_path(folder),
             fmt::format("{{\"format\": \"{}\", \"version\": {}, \"shards\": {}}}\n", kFormat,
                         kVersion, shards));
}

std::int64_t read_count(JsonReader& json) {
  const std::uint64_t count = json.integer();
  if (count > INT64_MAX) json.fail_here("a count is too large");
  return static_cast<std::int64_t>(count);
}

ShardEntry read_entry(JsonReader& json) {
  std::optional<std::string> name;
  std::optional<std::int64_t> records;
  std::optional<std::uint64_t> bytes;
  std::optional<std::uint32_t> crc;
  json.enter_object();
  for (std::string key; json.next_member(key);) {
    if (key == "name")
      name = json.string();
    else if (key == "records")
      records = read_count(json);
    else if (key == "bytes")
      bytes = json.integer();
    else if (key == "crc32c")
      crc = parse_crc(json.string());
    else
      json.skip();
  }
  if (!name || !records || !bytes || !crc) {
    json.fail_here("a shard needs name, records, bytes and crc32c");
  }
  return {*std::move(name), *records, {*bytes, *crc}};
}

std::vector<ShardEntry> read_entries(JsonReader& json) {
  if (json.is_null()) {
    json.fail_here("the shards were not all written: write the data again");
  }
  std::vector<ShardEntry> entries;
  json.enter_array();
  while (json.next_element()) entries.push_back(read_entry(json));
  return entries;
}

void read_version(JsonReader& json) {
  const std::uint64_t version = json.integer();
  if (version == 0 || version > kVersion) {
    json.fail_here("a newer maskgrad wrote this: take that one, or write the data again");
  }
}

// Nothing where the folder has no index.
std::optional<std::vector<ShardEntry>> read_index(const fs::path& folder) {
  const fs::path index = shard_index_path(folder);
  std::error_code ignored;
  if (!fs::exists(index, ignored)) return std::nullopt;
  return parse_shard_index(read_file(index, kMostBytes), index.string());
}

// Throws unless the folder's shards are those that the index lists.
void check_names(const fs::path& folder, const std::vector<fs::path>& paths,
                 const std::vector<ShardEntry>& entries) {
  const std::string index = shard_index_path(folder).string();
  std::set<std::string> listed, found;
  for (const ShardEntry& entry : entries) {
    check(listed.insert(entry.name).second, kName, "'{}' lists {} twice: write the data again",
          index, quote(entry.name));
  }
  for (const fs::path& path : paths) {
    found.insert(path.filename().string());
    check(listed.contains(path.filename().string()), kName,
          "'{}' is not among the shards of '{}': move it away, or write the data again",
          path.string(), index);
  }
  for (const std::string& name : listed) {
    check(found.contains(name), kName, "'{}' is missing, though '{}' lists it: {}",
          (folder / name).string(), index, kAdvice);
  }
}

// Throws unless the shard has the bytes that the index lists, if it lists the shard.
void check_bytes(const fs::path& path, const std::vector<ShardEntry>& entries) {
  const std::string name = path.filename().string();
  const auto entry = std::find_if(entries.begin(), entries.end(),
                                  [&](const ShardEntry& one) { return one.name == name; });
  if (entry == entries.end()) return;
  RecordReader reader(path);
  check(reader.bytes() == entry->digest.bytes, kName, "'{}' has {}, and had {}: {}", path.string(),
        count_of(static_cast<std::int64_t>(reader.bytes()), "byte"),
        with_commas(static_cast<std::int64_t>(entry->digest.bytes)), kAdvice);
  for (std::string record; reader.next(record);) continue;
  check(reader.digest() == entry->digest && reader.count() == entry->records, kName,
        "'{}' does not hold the records that '{}' lists: {}", path.string(),
        shard_index_path(path.parent_path()).string(), kAdvice);
}

}  // namespace

fs::path shard_index_path(const fs::path& folder) { return folder / "shards.json"; }

void write_shard_index(const fs::path& folder, const std::vector<ShardEntry>& shards) {
  std::vector<std::string> items;
  for (const ShardEntry& shard : shards) {
    check(is_utf8(shard.name), kName, "the name {} of a shard is not UTF-8", quote(shard.name));
    items.push_back(fmt::format(
        "\n  {{\"name\": {}, \"records\": {}, \"bytes\": {}, \"crc32c\": \"{}\"}}",
        json_quote(shard.name), shard.records, shard.digest.bytes, crc_text(shard.digest.crc)));
  }
  write_index(folder, fmt::format("[{}]", fmt::join(items, ",")));
}

void write_unfinished_shard_index(const fs::path& folder) { write_index(folder, "null"); }

std::vector<ShardEntry> parse_shard_index(std::string_view text, const std::string& file) {
  JsonReader json(text, kName, fmt::format("'{}':", file));
  bool has_format = false, has_version = false;
  std::optional<std::vector<ShardEntry>> entries;
  json.enter_object();
  for (std::string key; json.next_member(key);) {
    if (key == "format") {
      has_format = json.string() == kFormat;
    } else if (key == "version") {
      read_version(json);
      has_version = true;
    } else if (key == "shards") {
      entries = read_entries(json);
    } else {
      json.skip();
    }
  }
  json.finish();
  if (!has_format || !has_version || !entries) {
    json.fail_here("an index needs format, version and shards");
  }
  return *std::move(entries);
}

std::vector<fs::path> list_shards(const fs::path& folder, std::int64_t limit) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) fail_file("cannot read folder", folder, ENOENT);
  std::vector<fs::path> paths = list_folder(folder);
  std::erase_if(paths, [](const fs::path& path) { return path.extension() != ".tfrecords"; });
  const auto listed = read_index(folder);
  if (listed) check_names(folder, paths, *listed);
  check(!paths.empty(), kName, "'{}' holds no *.tfrecords file", folder.string());
  if (limit > 0) {
    check(std::ssize(paths) >= limit, kName, "'{}' holds {} *.tfrecords files, {} are wanted",
          folder.string(), paths.size(), limit);
    paths.resize(static_cast<std::size_t>(limit));
  }
  if (listed) {
    for (const fs::path& path : paths) check_bytes(path, *listed);
  }
  return paths;
}

void check_shard(const fs::path& path) {
  if (const auto listed = read_index(path.parent_path())) check_bytes(path, *listed);
}

}  // namespace maskgrad
