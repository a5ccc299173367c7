// Any bytes as a TOML file of settings, and as the value of one. Settings that are accepted come
// back from their own TOML.
#include <maskgrad/train/settings.hpp>

#include "harness.hpp"

namespace maskgrad::fuzz {
namespace {

Settings make_settings() {
  return Settings({Setting{"batch_size", std::int64_t{32}, "samples"}.at_least(1),
                   Setting{"lr", 1e-3, "rate"}, Setting{"shuffle", true, "a new order"},
                   Setting{"mask", std::string("key"), "axis"}.one_of({"key", "none"}),
                   Setting{"data", std::string(), "folder"},
                   Setting{"resume", false, "go on"}.not_saved()});
}

void expect_back(const Settings& settings) {
  const std::string toml = settings.to_toml();
  Settings copy = make_settings();
  copy.read_saved_toml(toml, "copy");
  expect(copy.to_toml() == toml);
  expect(copy.text("data") == settings.text("data"));
  expect(copy.differences(settings).empty());
}

void read_toml(std::string_view bytes) {
  const MemoryFile file(bytes);
  Settings settings = make_settings();
  settings.load_toml(file.path());
  expect_back(settings);
}

void read_saved(std::string_view bytes) {
  Settings settings = make_settings();
  settings.read_saved_toml(bytes, "text");
  expect_back(settings);
}

void take_value(std::string_view bytes) {
  Settings settings = make_settings();
  settings.set("data", bytes, "value");
  expect_back(settings);
}

}  // namespace
}  // namespace maskgrad::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace maskgrad::fuzz;
  const std::string_view bytes = text_of(data, size);
  attempt(read_toml, bytes);
  attempt(read_saved, bytes);
  take_value(bytes);
  return 0;
}
