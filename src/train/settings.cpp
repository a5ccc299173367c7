#include <algorithm>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include <maskgrad/tensor/nearest_name.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {
namespace {

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

// `text` as a value of the type that `like` has.
SettingValue parse_like(const SettingValue& like, std::string_view key, std::string_view text,
                        const std::string& source) {
  const auto parse = [&](const auto& old) -> SettingValue {
    using T = std::decay_t<decltype(old)>;
    if constexpr (std::is_same_v<T, std::string>) {
      return std::string(text);
    } else if constexpr (std::is_same_v<T, bool>) {
      check(text == "true" || text == "false", "config", "{}: '{}' must be true or false, not '{}'",
            source, key, text);
      return text == "true";
    } else {
      const std::optional<Scalar> number = parse_scalar(text);
      check(number && may_be<T>(number->kind()), "config", "{}: '{}' must be {}, not '{}'", source,
            key, std::is_same_v<T, double> ? "a number" : "a whole number", text);
      return number->to<T>("config", fmt::format("{}: '{}':", source, key));
    }
  };
  return std::visit(parse, like);
}

toml::table parse_toml(const std::filesystem::path& path) {
  try {
    return toml::parse(read_file(path), path.string());
  } catch (const toml::parse_error& error) {
    fail("config", "{}: line {}: {}", path.string(), error.source().begin.line,
         error.description());
  }
}

}  // namespace

Setting Setting::at_least(Scalar smallest) const {
  Setting setting = *this;
  setting.min = smallest;
  return setting;
}

Setting Setting::at_most(Scalar largest) const {
  Setting setting = *this;
  setting.max = largest;
  return setting;
}

Setting Setting::one_of(std::vector<std::string> texts) const {
  Setting setting = *this;
  setting.choices = std::move(texts);
  return setting;
}

Setting Setting::not_saved() const {
  Setting setting = *this;
  setting.saved = false;
  return setting;
}

std::optional<std::string> toml_text(const std::filesystem::path& path, std::string_view key) {
  return parse_toml(path)[key].value<std::string>();
}

std::string to_string(const SettingValue& value) {
  const auto print = [](const auto& v) -> std::string {
    using T = std::decay_t<decltype(v)>;
    if constexpr (std::is_same_v<T, std::string>) {
      std::ostringstream quoted;
      quoted << toml::value<std::string>(v);
      return quoted.str();
    } else if constexpr (std::is_same_v<T, double>) {
      const std::string text = fmt::format("{}", v);
      // TOML tells a float from an integer by its point or exponent.
      return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
    } else {
      return fmt::format("{}", v);
    }
  };
  return std::visit(print, value);
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
  fail("config", "{}: there is no setting '{}'{}", source, key, did_you_mean(name, known));
}

void Settings::assign(Setting& setting, SettingValue value, const std::string& source) {
  const auto check_range = [&](Scalar number) {
    check(number >= setting.min, "config", "{}: '{}' must be at least {}, not {}", source,
          setting.key, setting.min, to_string(value));
    check(number <= setting.max, "config", "{}: '{}' must be at most {}, not {}", source,
          setting.key, setting.max, to_string(value));
  };
  if (const auto* integer = std::get_if<std::int64_t>(&value)) check_range(*integer);
  if (const auto* real = std::get_if<double>(&value)) check_range(*real);
  if (const auto* text = std::get_if<std::string>(&value); text && !setting.choices.empty()) {
    check(std::count(setting.choices.begin(), setting.choices.end(), *text) > 0, "config",
          "{}: '{}' must be one of {}, not '{}'", source, setting.key,
          fmt::join(setting.choices, ", "), *text);
  }
  setting.value = std::move(value);
}

void Settings::set(std::string_view key, std::string_view text, const std::string& source) {
  Setting& setting = lookup(key, source);
  assign(setting, parse_like(setting.value, key, text, source), source);
}

void Settings::set_pair(std::string_view pair, const std::string& source) {
  const auto equals = pair.find('=');
  check(equals != std::string_view::npos, "config", "{}: '{}' is not key=value", source, pair);
  set(pair.substr(0, equals), pair.substr(equals + 1), source);
}

void Settings::load_toml(const std::filesystem::path& path) {
  const toml::table table = parse_toml(path);
  for (const auto& entry : table) {
    const std::string_view key = entry.first.str();
    const toml::node& node = entry.second;
    const std::string source =
        fmt::format("{}: line {}", path.string(), entry.first.source().begin.line);
    Setting& setting = lookup(key, source);
    // An integer may stand for a real number; nothing else is converted.
    const auto take = [&](const auto& old) {
      using T = std::decay_t<decltype(old)>;
      const auto value = node.value_exact<T>();
      if (value) {
        assign(setting, *value, source);
      } else if (std::is_same_v<T, double> && node.is_integer()) {
        const Scalar integer = *node.value_exact<std::int64_t>();
        assign(setting, integer.to<double>("config", fmt::format("{}: '{}':", source, key)),
               source);
      } else {
        fail("config", "{}: '{}' has the wrong type; its default is {}", source, key,
             to_string(old));
      }
    };
    std::visit(take, SettingValue(setting.value));
  }
}

std::string Settings::to_toml() const {
  std::string text;
  for (const Setting& setting : settings_) {
    if (!setting.saved) continue;
    const std::string line = fmt::format("{} = {}", setting.key, to_string(setting.value));
    text += fmt::format("{:<32} # {}\n", line, setting.help);
  }
  return text;
}

}  // namespace maskgrad
