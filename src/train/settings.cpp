#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <toml++/toml.h>

#include <maskgrad/tensor/nearest_name.hpp>
#include <maskgrad/tensor/shortened.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/toml_guard.hpp>
#include <maskgrad/train/formats/utf8.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {
namespace {

constexpr std::string_view kVersionKey = "version";
constexpr std::int64_t kVersion = 7;

std::string normalized(std::string_view key) {
  std::string result(key);
  std::replace(result.begin(), result.end(), '-', '_');
  return result;
}

// An integer may stand for a real number; nothing else is converted.
template <class T>
bool may_be(Scalar::Kind kind) {
  return kind == Scalar::Kind::kInteger ||
         (kind == Scalar::Kind::kReal && std::is_same_v<T, double>);
}

std::uint64_t parse_seed(std::string_view key, std::string_view text, const std::string& source) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  check(error == std::errc() && end == text.data() + text.size(), "config",
        "{}: '{}' must be a whole number from 0 to {}, not '{}'", source, key,
        std::numeric_limits<std::uint64_t>::max(), shortened(text));
  return seed;
}

// `text` as a value of the type that `like` has.
SettingValue parse_like(const SettingValue& like, std::string_view key, std::string_view text,
                        const std::string& source) {
  const auto parse = [&](const auto& old) -> SettingValue {
    using T = std::decay_t<decltype(old)>;
    if constexpr (std::is_same_v<T, std::string>) {
      return std::string(text);
    } else if constexpr (std::is_same_v<T, bool>) {
      check(text == "true" || text == "false", "config", "{}: '{}' must be true or false, not '{}'",
            source, key, shortened(text));
      return text == "true";
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
      return parse_seed(key, text, source);
    } else {
      const std::optional<Scalar> number = parse_scalar(text);
      check(number && may_be<T>(number->kind()), "config", "{}: '{}' must be {}, not '{}'", source,
            key, std::is_same_v<T, double> ? "a number" : "a whole number", shortened(text));
      return number->to<T>("config", fmt::format("{}: '{}':", source, key));
    }
  };
  return std::visit(parse, like);
}

// What errors about the file of a run end with.
constexpr const char* kWhereCopiesAre = "each checkpoint of the run holds a copy of it";

toml::table parse_toml(std::string_view text, const std::string& source,
                       const std::string& advice = "") {
  check_toml(text, source);
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    const std::string_view what = error.description();
    // TOML has no larger integer.
    const bool is_large = what.find("not representable in 64 bits") != std::string_view::npos;
    fail("config", "{}: line {}: {}{}{}", source, error.source().begin.line, what,
         is_large ? "; only a seed may be larger, as a text in quotes" : "", advice);
  }
}

/// The number in the version line; 0 without one. Throws for one that this program does not read.
std::int64_t version_of(const toml::table& table, const std::string& source) {
  const toml::node* const node = table.get(kVersionKey);
  if (node == nullptr) return 0;
  const auto version = node->value_exact<std::int64_t>();
  const auto line = node->source().begin.line;
  check(version && *version >= 1, "config", "{}: line {}: '{}' must be a whole number above 0",
        source, line, kVersionKey);
  check(*version <= kVersion, "config",
        "{}: line {}: has version {}, and this maskgrad reads up to {}: take a newer one", source,
        line, *version, kVersion);
  return *version;
}

/// The seed that the node is, as to_string() writes it.
std::uint64_t toml_seed(const toml::node& node, const Setting& setting, const std::string& place) {
  if (const auto integer = node.value_exact<std::int64_t>())
    return parse_seed(setting.key, fmt::format("{}", *integer), place);
  const auto text = node.value_exact<std::string>();
  check(text.has_value(), "config", "{}: '{}' has the wrong type; its default is {}", place,
        setting.key, to_string(setting.value));
  return parse_seed(setting.key, bytes_from_utf8(*text), place);
}

/// The node as a value of the setting's type. An integer may stand for a real number; nothing else
/// is converted.
SettingValue toml_value(const toml::node& node, const Setting& setting, const std::string& place) {
  const auto take = [&](const auto& old) -> SettingValue {
    using T = std::decay_t<decltype(old)>;
    if constexpr (std::is_same_v<T, std::uint64_t>) {
      return toml_seed(node, setting, place);
    } else {
      const auto value = node.value_exact<T>();
      if constexpr (std::is_same_v<T, std::string>) {
        if (value) return bytes_from_utf8(*value);
      } else if (value) {
        return *value;
      }
    }
    if (std::is_same_v<T, double> && node.is_integer()) {
      return Scalar(*node.value_exact<std::int64_t>())
          .to<double>("config", fmt::format("{}: '{}':", place, setting.key));
    }
    fail("config", "{}: '{}' has the wrong type; its default is {}", place, setting.key,
         to_string(old));
  };
  return std::visit(take, setting.value);
}

}  // namespace

Setting Setting::at_least(Scalar smallest) const {
  return with([&](Setting& setting) { setting.min = smallest; });
}
Setting Setting::at_most(Scalar largest) const {
  return with([&](Setting& setting) { setting.max = largest; });
}
Setting Setting::one_of(std::vector<std::string> texts) const {
  return with([&](Setting& setting) { setting.choices = std::move(texts); });
}
Setting Setting::not_saved() const {
  return with([](Setting& setting) { setting.saved = false; });
}
Setting Setting::file() const {
  return with([](Setting& setting) { setting.path = PathTo::kFile; });
}
Setting Setting::folder() const {
  return with([](Setting& setting) { setting.path = PathTo::kFolder; });
}
Setting Setting::changeable() const {
  return with([](Setting& setting) { setting.may_change = true; });
}
Setting Setting::fixed(std::string reason) const {
  return with([&](Setting& setting) {
    setting.may_change = false;
    setting.why_fixed = std::move(reason);
  });
}
Setting Setting::without_effect() const {
  return with([](Setting& setting) { setting.shapes_results = false; });
}

Setting Setting::since(int first) const {
  return with([&](Setting& setting) { setting.version = first; });
}

std::optional<std::string> toml_text(const std::filesystem::path& path, std::string_view key) {
  return toml_text(read_file(path, kMostTomlBytes), path.string(), key);
}

std::optional<std::string> toml_text(std::string_view text, const std::string& source,
                                     std::string_view key) {
  const toml::table table = parse_toml(text, source, fmt::format("; {}", kWhereCopiesAre));
  const auto value = table[key].value<std::string>();
  return value ? std::optional(bytes_from_utf8(*value)) : std::nullopt;
}

std::string to_string(const SettingValue& value) {
  const auto print = [](const auto& v) -> std::string {
    using T = std::decay_t<decltype(v)>;
    if constexpr (std::is_same_v<T, std::string>) {
      return toml_quote(v);
    } else if constexpr (std::is_same_v<T, double>) {
      const std::string text = fmt::format("{}", v);
      // TOML tells a float from an integer by its point or exponent.
      return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
      const std::string text = fmt::format("{}", v);
      return v >> 63 != 0 ? toml_quote(text) : text;
    } else {
      return fmt::format("{}", v);
    }
  };
  return std::visit(print, value);
}

Settings::Settings(std::vector<Setting> settings) : settings_(std::move(settings)) {
  for (const Setting& setting : settings_) {
    check(setting.key != kVersionKey, "config", "no setting may be called '{}'", kVersionKey);
  }
}

bool Settings::has(std::string_view key) const {
  return std::ranges::any_of(settings_, [&](const Setting& s) { return s.key == key; });
}

const Setting& Settings::find(std::string_view key) const {
  const auto found = std::find_if(settings_.begin(), settings_.end(),
                                  [&](const Setting& s) { return s.key == key; });
  check(found != settings_.end(), "config", "there is no setting '{}'", key);
  return *found;
}

Setting& Settings::lookup(std::string_view key, const std::string& source) {
  const std::string name = normalized(key);
  std::vector<std::string> known;
  for (Setting& setting : settings_) {
    if (setting.key == name) return setting;
    known.push_back(setting.key);
  }
  fail("config", "{}: there is no setting '{}'{}", source, shortened(key),
       did_you_mean(name, known));
}

void Settings::assign(Setting& setting, SettingValue value, const std::string& source) {
  const auto check_range = [&](Scalar number) {
    check(number >= setting.min, "config", "{}: '{}' must be at least {}, not {}", source,
          setting.key, setting.min, to_string(value));
    check(number <= setting.max, "config", "{}: '{}' must be at most {}, not {}", source,
          setting.key, setting.max, to_string(value));
  };
  if (const auto* integer = std::get_if<std::int64_t>(&value)) check_range(*integer);
  if (const auto* real = std::get_if<double>(&value)) {
    check_range(*real);
    check(std::isfinite(*real), "config", "{}: '{}' must be finite, not {}", source, setting.key,
          to_string(value));
  }
  if (const auto* text = std::get_if<std::string>(&value); text && !setting.choices.empty()) {
    check(std::count(setting.choices.begin(), setting.choices.end(), *text) > 0, "config",
          "{}: '{}' must be one of {}, not '{}'", source, setting.key,
          fmt::join(setting.choices, ", "), shortened(*text));
  }
  setting.value = std::move(value);
}

void Settings::set(std::string_view key, std::string_view text, const std::string& source) {
  Setting& setting = lookup(key, source);
  assign(setting, parse_like(setting.value, key, text, source), source);
}

void Settings::copy(const std::string& key, const Settings& other) {
  assign(lookup(key, key), other.find(key).value, key);
}

void Settings::set_pair(std::string_view pair, const std::string& source) {
  const auto equals = pair.find('=');
  check(equals != std::string_view::npos, "config", "{}: '{}' is not key=value", source,
        shortened(pair));
  set(pair.substr(0, equals), pair.substr(equals + 1), source);
}

TomlSettings Settings::load_toml(const std::filesystem::path& path) {
  return take_toml(read_file(path, kMostTomlBytes), path.string());
}

void Settings::load_saved_toml(const std::filesystem::path& path) {
  read_saved_toml(read_file(path, kMostTomlBytes), path.string());
}

void Settings::read_saved_toml(std::string_view text, const std::string& source) {
  check(text.ends_with('\n'), "config", "{}: its last line does not end: the file is damaged; {}",
        source, kWhereCopiesAre);
  const auto [version, keys] = take_toml(text, source, fmt::format("; {}", kWhereCopiesAre));
  check(version > 0, "config",
        "{0}: '{1}' is missing: the file is damaged, or of the first maskgrad; if its settings are "
        "right, add the line: {1} = 1",
        source, kVersionKey);
  for (const Setting& setting : settings_) {
    const bool is_wanted = setting.saved && setting.version <= version;
    check(!is_wanted || keys.contains(setting.key), "config",
          "{}: '{}' is missing: the file is damaged; {}", source, setting.key, kWhereCopiesAre);
  }
}

TomlSettings Settings::take_toml(std::string_view text, const std::string& source,
                                 const std::string& advice) {
  const toml::table table = parse_toml(text, source, advice);
  TomlSettings taken{version_of(table, source), {}};
  for (const auto& [key, node] : table) {
    if (key.str() == kVersionKey) continue;
    const std::string place = fmt::format("{}: line {}", source, key.source().begin.line);
    Setting& setting = lookup(key.str(), place);
    assign(setting, toml_value(node, setting, place), place);
    taken.keys.insert(setting.key);
  }
  return taken;
}

std::vector<std::string> Settings::differences(const Settings& other) const {
  std::vector<std::string> lines;
  for (const Setting& setting : settings_) {
    if (!setting.saved) continue;
    const std::string before = to_string(setting.value);
    const std::string after = to_string(other.find(setting.key).value);
    if (before != after) lines.push_back(fmt::format("{}: {} -> {}", setting.key, before, after));
  }
  return lines;
}

std::string Settings::to_toml() const {
  const auto line = [](std::string_view key, const std::string& value, std::string_view help) {
    return fmt::format("{:<32} # {}\n", fmt::format("{} = {}", key, value), help);
  };
  std::string text = line(kVersionKey, std::to_string(kVersion), "of this file's format");
  for (const Setting& setting : settings_) {
    if (setting.saved) text += line(setting.key, to_string(setting.value), setting.help);
  }
  return text;
}

}  // namespace maskgrad
