// The named settings of a program: defaults, a TOML file, key=value pairs, checks.
#pragma once

#include <filesystem>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <maskgrad/tensor/scalar.hpp>

namespace maskgrad {

/// An unsigned one is a seed: any 64 bits.
using SettingValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

/// Whether the text of a setting is a path, and what the path leads to.
enum class PathTo { kNothing, kFile, kFolder };

struct Setting {
  std::string key;     // "batch_size"; `-` and `_` are the same in what users write
  SettingValue value;  // the default at first; fixes the type
  std::string help;
  Scalar min = -std::numeric_limits<double>::infinity();  // of numbers
  Scalar max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // of texts; none: any text
  bool saved = true;                      // false: about one call of the program, not about the run
  PathTo path = PathTo::kNothing;
  bool may_change = false;     // true: a run may go on with another value
  std::string why_fixed = {};  // why it may not, for errors: "its phases are shares of them"
  bool shapes_results = true;  // false: with any value, each step gives the same numbers
  int version = 1;             // the first version of saved files that holds it

  // Each returns the same setting with one property changed, for lists of settings.
  Setting at_least(Scalar smallest) const;
  Setting at_most(Scalar largest) const;
  Setting one_of(std::vector<std::string> texts) const;
  Setting not_saved() const;
  Setting file() const;
  Setting folder() const;
  Setting changeable() const;
  Setting fixed(std::string reason) const;  // a run that goes on keeps its value, for this reason
  Setting without_effect() const;
  Setting since(int version) const;

 private:
  template <class F>
  Setting with(F change) const {
    Setting setting = *this;
    change(setting);
    return setting;
  }
};

/// What a TOML file of settings held.
struct TomlSettings {
  std::int64_t version;  // above 0 where Settings::to_toml() wrote it
  std::set<std::string> keys;
};

/// An ordered list of settings. Every function that sets a value checks key, type and range, and
/// throws Error "[config] <source>: ..." where one of them is wrong. For an unknown key the error
/// suggests the nearest known one. An integer may stand for a real number if a double holds it
/// exactly.
class Settings {
 public:
  /// Throws Error for a setting called "version": in saved files this key holds the format's
  /// version.
  explicit Settings(std::vector<Setting> settings);

  const std::vector<Setting>& all() const { return settings_; }

  /// Whether there is a setting with this key.
  bool has(std::string_view key) const;
  /// The setting with this key, spelled with `_`. Throws Error when there is none.
  const Setting& setting(std::string_view key) const { return find(key); }

  /// Sets `key` from text: "true", "12", "1e-3", "any text". `source` says in errors where the text
  /// came from.
  void set(std::string_view key, std::string_view text, const std::string& source);
  /// Sets from "key=value".
  void set_pair(std::string_view pair, const std::string& source);
  /// Sets `key` to the value that `other` has.
  void copy(const std::string& key, const Settings& other);
  /// Sets what a user's TOML file holds: a flat table of any of the settings. Texts stand in it as
  /// toml_quote() writes them. Also throws Error for a file of more than 1 MiB.
  TomlSettings load_toml(const std::filesystem::path& path);
  /// Sets what to_toml() wrote. Throws Error "[config] x: 'lr' is missing: the file is damaged;
  /// ..." unless the file holds its version, and every saved setting that this version has.
  void load_saved_toml(const std::filesystem::path& path);
  /// The same for the text itself; errors call it `source`.
  void read_saved_toml(std::string_view text, const std::string& source);
  /// The format's version, then all saved settings with their help as comments. load_saved_toml()
  /// gives the same settings back.
  std::string to_toml() const;

  /// A line "lr: 0.001 -> 0.5" for each saved setting whose value differs in `other`. Throws Error
  /// where `other` lacks a saved setting.
  std::vector<std::string> differences(const Settings& other) const;

  /// The value of a setting. Throws Error when there is no such key, and when its type is not T.
  template <class T>
  const T& get(std::string_view key) const {
    const auto* value = std::get_if<T>(&find(key).value);
    check(value != nullptr, "config", "'{}' has another type", key);
    return *value;
  }
  std::int64_t integer(std::string_view key) const { return get<std::int64_t>(key); }
  std::uint64_t seed(std::string_view key = "seed") const { return get<std::uint64_t>(key); }
  double real(std::string_view key) const { return get<double>(key); }
  bool flag(std::string_view key) const { return get<bool>(key); }
  const std::string& text(std::string_view key) const { return get<std::string>(key); }

 private:
  const Setting& find(std::string_view key) const;
  Setting& lookup(std::string_view key, const std::string& source);
  TomlSettings take_toml(std::string_view text, const std::string& source,
                         const std::string& advice = "");
  static void assign(Setting& setting, SettingValue value, const std::string& source);

  std::vector<Setting> settings_;
};

/// The text under one key of the config.toml of a run, whatever else the file holds. Returns
/// nothing when there is no such key, or its value is no text. Throws Error when the file cannot be
/// read, has more than 1 MiB, or is no TOML.
std::optional<std::string> toml_text(const std::filesystem::path& path, std::string_view key);
/// The same for the text of a file. Errors call it `source`.
std::optional<std::string> toml_text(std::string_view text, const std::string& source,
                                     std::string_view key);

/// The value as TOML text: true, 12, 0.001, 'key'. Messages show values in the same way. TOML's
/// integers end at 2^63 - 1: a larger seed is a text, '18446744073709551615'.
std::string to_string(const SettingValue& value);

}  // namespace maskgrad
