#include <optional>
#include <utility>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/protobuf.hpp>
#include <maskgrad/train/formats/tf_example.hpp>
#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

constexpr std::uint32_t kBytesList = 1;
constexpr std::uint32_t kFloatList = 2;
constexpr std::uint32_t kInt64List = 3;

std::string encode_feature(const Feature& feature) {
  WireWriter list;
  WireWriter out;
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&feature)) {
    list.add_packed(1, *integers);
    out.add_bytes(kInt64List, list.bytes());
  } else if (const auto* floats = std::get_if<std::vector<float>>(&feature)) {
    list.add_packed(1, *floats);
    out.add_bytes(kFloatList, list.bytes());
  } else {
    for (const std::string& text : std::get<std::vector<std::string>>(feature)) {
      list.add_bytes(1, text);
    }
    out.add_bytes(kBytesList, list.bytes());
  }
  return out.bytes();
}

void append_value(WireReader& list, std::vector<std::string>& values) {
  if (list.type() == WireType::kBytes) values.emplace_back(list.bytes());
}

template <class T>
void append_value(WireReader& list, std::vector<T>& values) {
  list.append_to(values);
}

/// Merges one list into the oneof: a list of the same kind goes on, another kind starts anew.
template <class List>
void merge_list(WireReader list, std::optional<Feature>& feature) {
  if (!feature || !std::holds_alternative<List>(*feature)) feature.emplace(List{});
  auto& values = std::get<List>(*feature);
  while (list.next()) {
    if (list.field() == 1) append_value(list, values);
  }
}

void merge_feature(WireReader reader, std::optional<Feature>& feature) {
  while (reader.next()) {
    if (reader.is(kBytesList, WireType::kBytes)) {
      merge_list<std::vector<std::string>>(reader.message(), feature);
    } else if (reader.is(kFloatList, WireType::kBytes)) {
      merge_list<std::vector<float>>(reader.message(), feature);
    } else if (reader.is(kInt64List, WireType::kBytes)) {
      merge_list<std::vector<std::int64_t>>(reader.message(), feature);
    }
  }
}

/// One entry of the map is a message {key = 1, value = 2}; either may be missing or repeated.
void merge_entry(WireReader entry, Example& example) {
  std::string key;
  std::optional<Feature> feature;
  while (entry.next()) {
    if (entry.is(1, WireType::kBytes)) {
      key = entry.string();
    } else if (entry.is(2, WireType::kBytes)) {
      merge_feature(entry.message(), feature);
    }
  }
  if (feature)
    example.insert_or_assign(std::move(key), *std::move(feature));
  else
    example.erase(key);
}

}  // namespace

std::string encode(const Example& example) {
  WireWriter features;
  for (const auto& [key, feature] : example) {
    check(is_utf8(key), "tf_example", "the key {} is not UTF-8", quote(key));
    WireWriter entry;
    entry.add_bytes(1, key);
    entry.add_bytes(2, encode_feature(feature));
    features.add_bytes(1, entry.bytes());
  }
  WireWriter out;
  out.add_bytes(1, features.bytes());
  return out.bytes();
}

Example decode_example(std::string_view bytes, std::string_view where) {
  Example example;
  WireReader reader(bytes, where);
  while (reader.next()) {
    if (!reader.is(1, WireType::kBytes)) continue;
    WireReader features = reader.message();
    while (features.next()) {
      if (features.is(1, WireType::kBytes)) merge_entry(features.message(), example);
    }
  }
  return example;
}

}  // namespace maskgrad
