#include <algorithm>
#include <iterator>
#include <span>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/shards.hpp>
#include <maskgrad/train/formats/tf_example.hpp>
#include <maskgrad/train/formats/tfrecord.hpp>

#include "cli/inspect/inspect.hpp"
#include "cli/output.hpp"
#include "cli/table.hpp"
#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

std::string describe(const Feature& feature) {
  const auto print_list = [](const auto& list) -> std::string {
    constexpr std::size_t kMost = 24;
    using T = typename std::decay_t<decltype(list)>::value_type;
    const std::span shown(list.data(), std::min(list.size(), kMost));
    const std::string more =
        list.size() > kMost ? fmt::format(", ... {} in all", list.size()) : std::string();
    if constexpr (std::is_same_v<T, std::string>) {
      std::vector<std::string> texts;
      for (const std::string& text : shown) texts.push_back(plain_or_quoted(text));
      return fmt::format("[{}{}]", fmt::join(texts, ", "), more);
    } else {
      return fmt::format("[{}{}]", fmt::join(shown, ", "), more);
    }
  };
  return std::visit(print_list, feature);
}

// "  text   x=1,y=2:x+y:3": what the tokens of a sample of arithmetic say. Empty for any other.
std::string arithmetic_line(const Example& example) {
  std::string text;
  for (const char* name : {"defs", "op", "res"}) {
    const auto found = example.find(name);
    if (found == example.end() || example.size() != 3) return "";
    const auto* tokens = std::get_if<std::vector<std::int64_t>>(&found->second);
    if (tokens == nullptr) return "";
    try {
      text += (text.empty() ? "" : ":") + arithmetic_text(*tokens);
    } catch (const Error&) {  // tokens of another vocabulary
      return "";
    }
  }
  return fmt::format("  {:<6} {}\n", "text", plain_or_quoted(text));
}

std::string describe_record(const std::string& record, const RecordReader& reader) {
  std::string text =
      fmt::format("record {}, {}\n", reader.count() - 1, count_of(std::ssize(record), "byte"));
  // Whatever is framed well may be in a shard; only an Example has parts to show.
  try {
    const Example example = decode_example(record, reader.where());
    for (const auto& [name, feature] : example) {
      text += fmt::format("  {:<6} {}\n", plain_or_quoted(name), describe(feature));
    }
    text += arithmetic_line(example);
  } catch (const Error&) {
    text += "  no tf.train.Example\n";
  }
  return text;
}

}  // namespace

// Shows nothing of a file that is damaged further on.
void inspect_records(const std::filesystem::path& path) {
  constexpr std::int64_t kShown = 3;
  RecordReader reader(path, RecordReader::CutHeader::kLikeTensorFlow);
  std::string record, first_records;
  std::int64_t bytes = 0;
  for (; reader.next(record); bytes += static_cast<std::int64_t>(record.size())) {
    if (reader.count() <= kShown) first_records += describe_record(record, reader);
  }
  print("{}{}, {} of data\n", first_records, count_of(reader.count(), "record"),
        count_of(bytes, "byte"));
  if (reader.overlooked() > 0) {
    print(
        "then {} of a record that was cut in its header: TensorFlow overlooks them, "
        "maskgrad train does not\n",
        count_of(static_cast<std::int64_t>(reader.overlooked()), "byte"));
  }
  // Each record is sound; whether they are all there the index knows.
  try {
    check_shard(path);
  } catch (const Error& error) {
    print("damaged: {}\n", one_line(error.text()));
  }
}

}  // namespace maskgrad::apps
