// Samples of arithmetic with two named numbers: `x=-12,y=24:y-x` has the answer `36`.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/data/shards.hpp>

namespace maskgrad {

/// The 20 characters in the order of their token ids. Token 0 (space) is padding, `:` separates,
/// `|` stops.
inline constexpr std::string_view kArithmeticVocabulary = " :|xy=,+-*0123456789";
inline constexpr std::int64_t kPadToken = 0;

/// The token ids of a text. Throws Error naming the character that the vocabulary lacks.
std::vector<std::int64_t> arithmetic_tokens(std::string_view text);
/// The inverse. Throws Error for an id outside the vocabulary.
std::string arithmetic_text(std::span<const std::int64_t> tokens);

struct ArithmeticSample {
  std::string defs;  // "x=-12,y=24", in either order
  std::string op;    // "y-x"
  std::string res;   // "36"
};

/// Problem `index` of `seed` (draw_problem()), and its answer. Throws Error as draw_problem().
ArithmeticSample draw_arithmetic(std::uint64_t seed, std::uint64_t index, std::int64_t max_val);

struct ArithmeticData {
  std::int64_t shards = 10;
  std::int64_t samples = 1000;  // in each shard
  std::int64_t max_val = 100;
  std::uint64_t seed = 0;
};

/// Throws Error for a number out of range.
void check_arithmetic_data(const ArithmeticData& data);

/// "shard_0000.tfrecords" and so on.
std::string arithmetic_shard_name(std::int64_t shard);
/// Whether arithmetic_shard_name() gives this name to a shard.
bool is_arithmetic_shard_name(std::string_view name);

/// Writes the shards and their index into `folder`, and makes the folder if it is missing. Sample i
/// of the data is draw_arithmetic(seed, i), as a tf.train.Example of the int64 features defs, op
/// and res. The same numbers give the same bytes on every machine. The set takes the place of one
/// that lies there: once all its shards are on the disk, they get their names, and older files of
/// such names go, but no others. While they get their names, list_shards() refuses the folder. What
/// fails or stops before that leaves the folder as it was. Returns false when it stopped early
/// because `stop` became true. `on_samples` hears now and then how many samples are written so far.
/// Throws Error for a number out of range, and where the disk refuses.
bool write_arithmetic_shards(const std::filesystem::path& folder, const ArithmeticData& data,
                             const std::atomic<bool>* stop = nullptr,
                             const std::function<void(std::int64_t done)>& on_samples = {});

/// The samples of one shard. Throws Error naming file, record and what is wrong.
std::vector<ArithmeticSample> read_arithmetic_shard(const std::filesystem::path& path);

}  // namespace maskgrad
