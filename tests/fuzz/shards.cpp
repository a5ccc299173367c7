// Any bytes as the index of a folder of shards. One that is accepted comes back from the index that
// is written of it.
#include <algorithm>

#include <maskgrad/train/data/shards.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/folder.hpp>

#include "harness.hpp"

namespace maskgrad::fuzz {
namespace {

bool is_same(const ShardEntry& a, const ShardEntry& b) {
  return a.name == b.name && a.records == b.records && a.digest == b.digest;
}

void try_index(std::string_view text) {
  static const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("fuzz_shards." + std::to_string(::getpid()));
  const std::vector<ShardEntry> entries = parse_shard_index(text, "f");
  make_folder(folder);
  write_shard_index(folder, entries);
  const std::string again = read_file(shard_index_path(folder));
  const std::vector<ShardEntry> copy = parse_shard_index(again, "f");
  expect(std::equal(entries.begin(), entries.end(), copy.begin(), copy.end(), is_same));
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  maskgrad::fuzz::attempt(maskgrad::fuzz::try_index, maskgrad::fuzz::text_of(data, size));
  return 0;
}
