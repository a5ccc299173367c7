#include <fmt/format.h>

#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/toml_guard.hpp>
#include <maskgrad/train/run/config_file.hpp>
#include <maskgrad/train/run/run_settings.hpp>

namespace maskgrad {

void ConfigFile::write(const Settings& settings) const {
  claim_.check_place();
  write_file(paths_.config, as_stored(settings, paths_.folder).to_toml());
}

void ConfigFile::replace(const Settings& settings) {
  former_ = read_file(paths_.config, kMostTomlBytes);
  write(settings);
}

void ConfigFile::put_back(const Warn& warn) const {
  try {
    if (!former_.empty() && claim_.is_in_place()) write_file(paths_.config, former_);
  } catch (const Error& error) {
    warn(fmt::format("{}: {}", error.name(), error.text()));
  }
}

}  // namespace maskgrad
