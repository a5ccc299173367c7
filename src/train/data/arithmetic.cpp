#include <algorithm>
#include <deque>
#include <system_error>

#include <maskgrad/tensor/checked.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/arithmetic_problem.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/folder_lock.hpp>
#include <maskgrad/train/formats/tf_example.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kShardStart = "shard_", kShardEnd = ".tfrecords";
constexpr std::size_t kShardDigits = 4;

bool is_token(std::int64_t token) {
  return token >= 0 && token < static_cast<std::int64_t>(kArithmeticVocabulary.size());
}

// With all its bytes, where it is well-formed and has several.
std::string_view first_character(std::string_view text) {
  std::size_t size = 1;
  while (size < 4 && size < text.size() && !is_utf8(text.substr(0, size))) ++size;
  return text.substr(0, is_utf8(text.substr(0, size)) ? size : 1);
}

void write_samples(RecordWriter& writer, const ArithmeticData& data, std::int64_t first,
                   const std::atomic<bool>* stop,
                   const std::function<void(std::int64_t)>& on_samples) {
  constexpr std::int64_t kBetweenCalls = 4096;
  for (std::int64_t i = 0; i < data.samples && !(stop && *stop); ++i) {
    if (on_samples && i % kBetweenCalls == 0 && i > 0) on_samples(first + i);
    const auto index = static_cast<std::uint64_t>(first + i);
    const ArithmeticSample sample = draw_arithmetic(data.seed, index, data.max_val);
    writer.write(encode(Example{{"defs", arithmetic_tokens(sample.defs)},
                                {"op", arithmetic_tokens(sample.op)},
                                {"res", arithmetic_tokens(sample.res)}}));
  }
}

// Those of an older set that had more shards.
void remove_shards_from(const fs::path& folder, std::int64_t shards) {
  for (const fs::path& path : list_folder(folder)) {
    const std::string name = path.filename().string();
    if (!is_arithmetic_shard_name(name)) continue;
    if (std::stoll(name.substr(kShardStart.size(), kShardDigits)) < shards) continue;
    std::error_code error;
    if (fs::is_directory(fs::symlink_status(path, error))) continue;
    fs::remove(path, error);
    if (error) fail_file("cannot remove", path, error.value());
  }
}

std::string feature_text(const Example& example, const char* name, const std::string& where) {
  const auto found = example.find(name);
  check(found != example.end(), "arithmetic", "{}: has no feature '{}'", where, name);
  const auto* tokens = std::get_if<std::vector<std::int64_t>>(&found->second);
  check(tokens != nullptr, "arithmetic", "{}: feature '{}' does not hold integers", where, name);
  for (const std::int64_t token : *tokens) {
    check(is_token(token), "arithmetic",
          "{}: feature '{}': token {} is outside the vocabulary of {}", where, name, token,
          kArithmeticVocabulary.size());
  }
  return arithmetic_text(*tokens);
}

}  // namespace

std::vector<std::int64_t> arithmetic_tokens(std::string_view text) {
  std::vector<std::int64_t> tokens;
  tokens.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto token = kArithmeticVocabulary.find(text[i]);
    if (token == std::string_view::npos) {
      fail("arithmetic", "'{}' in '{}' is not one of the characters \"{}\"",
           first_character(text.substr(i)), shortened(text), kArithmeticVocabulary);
    }
    tokens.push_back(static_cast<std::int64_t>(token));
  }
  return tokens;
}

std::string arithmetic_text(std::span<const std::int64_t> tokens) {
  std::string text;
  for (const std::int64_t token : tokens) {
    check(is_token(token), "arithmetic", "token {} is outside the vocabulary of {}", token,
          kArithmeticVocabulary.size());
    text += kArithmeticVocabulary[static_cast<std::size_t>(token)];
  }
  return text;
}

ArithmeticSample draw_arithmetic(std::uint64_t seed, std::uint64_t index, std::int64_t max_val) {
  const ArithmeticProblem problem = draw_problem(seed, index, max_val);
  const std::string text = to_string(problem);
  const std::size_t colon = text.find(':');
  return {text.substr(0, colon), text.substr(colon + 1), fmt::format("{}", problem.result())};
}

void check_arithmetic_data(const ArithmeticData& data) {
  check(data.shards >= 1 && data.shards <= 10000, "arithmetic", "shards must be 1 to 10000, not {}",
        data.shards);
  check(data.samples >= 1, "arithmetic", "samples must be at least 1, not {}", data.samples);
  checked_multiply("arithmetic", "samples in all shards", data.shards, data.samples);
  check_max_val(data.max_val);
}

std::string arithmetic_shard_name(std::int64_t shard) {
  return fmt::format("{}{:0{}}{}", kShardStart, shard, kShardDigits, kShardEnd);
}

bool is_arithmetic_shard_name(std::string_view name) {
  if (name.size() != kShardStart.size() + kShardDigits + kShardEnd.size()) return false;
  return name.starts_with(kShardStart) && name.ends_with(kShardEnd) &&
         name.substr(kShardStart.size(), kShardDigits).find_first_not_of("0123456789") == name.npos;
}

bool write_arithmetic_shards(const fs::path& folder, const ArithmeticData& data,
                             const std::atomic<bool>* stop,
                             const std::function<void(std::int64_t done)>& on_samples) {
  check_arithmetic_data(data);
  make_folder(folder);
  const FolderLock lock(folder, "data");
  remove_dead_temporaries(folder, [](const std::string& name) {
    return name == shard_index_path("") || name.ends_with(".tfrecords");
  });
  std::deque<RecordWriter> writers;
  std::vector<ShardEntry> written;
  for (std::int64_t shard = 0; shard < data.shards; ++shard) {
    const std::string name = arithmetic_shard_name(shard);
    RecordWriter& writer = writers.emplace_back(folder / name);
    write_samples(writer, data, shard * data.samples, stop, on_samples);
    if (stop && *stop) return false;
    writer.finish();
    if (on_samples) on_samples((shard + 1) * data.samples);
    written.push_back({name, writer.count(), writer.digest()});
  }
  // From here on until all have their names, the folder holds no whole data set.
  write_unfinished_shard_index(folder);
  for (RecordWriter& writer : writers) writer.take_name();
  sync_folder(folder);
  remove_shards_from(folder, data.shards);
  write_shard_index(folder, written);
  return true;
}

std::vector<ArithmeticSample> read_arithmetic_shard(const fs::path& path) {
  RecordReader reader(path);
  std::vector<ArithmeticSample> samples;
  for (std::string record; reader.next(record);) {
    const std::string where = reader.where();
    const Example example = decode_example(record, where);
    samples.push_back({feature_text(example, "defs", where), feature_text(example, "op", where),
                       feature_text(example, "res", where)});
  }
  return samples;
}

}  // namespace maskgrad
