// Settings of each type, and what loading them from files says.
#pragma once

#include <fstream>
#include <string>

#include <maskgrad/train/settings.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad::test {

inline Settings make_settings() {
  return Settings({Setting{"batch_size", std::int64_t{32}, "samples in a step"}.at_least(1),
                   Setting{"lr", 1e-3, "learning rate"}.at_least(0).at_most(100),
                   Setting{"weight", 0.5, "any number"}, Setting{"shuffle", true, "a new order"},
                   Setting{"mask", std::string("key"), "axis"}.one_of({"key", "query", "none"}),
                   Setting{"data", std::string(), "folder"},
                   Setting{"resume", false, "go on"}.not_saved()});
}

// `load` of a file with this text; the error with the file called FILE.
template <class Load>
std::string loading_by(Load load, const std::string& toml) {
  const ScratchFolder folder;
  const auto path = folder / "c.toml";
  std::ofstream(path, std::ios::binary) << toml;
  std::string text = error_of([&] { load(path); });
  for (auto at = text.find(path.string()); at != std::string::npos; at = text.find(path.string())) {
    text.replace(at, path.string().size(), "FILE");
  }
  return text;
}
inline std::string loading(Settings& settings, const std::string& toml) {
  return loading_by([&](const auto& path) { settings.load_toml(path); }, toml);
}
inline std::string loading_saved(Settings& settings, const std::string& toml) {
  return loading_by([&](const auto& path) { settings.load_saved_toml(path); }, toml);
}
inline std::string loading(const std::string& toml) {
  Settings settings = make_settings();
  return loading(settings, toml);
}

}  // namespace maskgrad::test
