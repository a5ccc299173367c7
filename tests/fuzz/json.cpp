// Any bytes as JSON. A text that is accepted is read again as what it was.
#include <vector>

#include <maskgrad/train/formats/json_reader.hpp>
#include <maskgrad/train/formats/utf8.hpp>

#include "harness.hpp"

namespace maskgrad::fuzz {
namespace {

// An array of strings and numbers, read and written.
void read_items(std::string_view text) {
  std::vector<std::string> strings;
  JsonReader json(text, "json", "text");
  json.enter_array();
  while (json.next_element()) {
    if (json.is_string())
      strings.push_back(json.string());
    else
      json.real();
  }
  json.finish();
  for (const std::string& string : strings) {
    const std::string quoted = json_quote(string);
    expect(JsonReader(quoted, "json", "string").string() == string);
  }
}

void skip_all(std::string_view text) {
  JsonReader json(text, "json", "text");
  json.skip();
  json.finish();
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace maskgrad::fuzz;
  attempt(skip_all, text_of(data, size));
  attempt(read_items, text_of(data, size));
  return 0;
}
