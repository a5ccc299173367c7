#include "op_args.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "usage.hpp"

namespace maskgrad::apps {
namespace {

template <class T>
T parse_number(const OpDef& op, const std::string& name, std::string_view text) {
  T number{};
  if (std::is_same_v<T, double> && text == "none") text = "nan";
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  check(error == std::errc() && end == text.data() + text.size(), op.name.c_str(),
        "argument '{}' must be {}, not '{}'", name,
        std::is_same_v<T, double> ? "a number" : "a whole number", text);
  return number;
}

std::vector<std::int64_t> parse_list(const OpDef& op, const std::string& name,
                                     std::string_view text) {
  std::vector<std::int64_t> numbers;
  if (text == "none") return numbers;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    numbers.push_back(parse_number<std::int64_t>(op, name, item));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
  }
  return numbers;
}

}  // namespace

const OpDef& known_op(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, op] : registry()) names.push_back(known);
  check(registry().contains(name), "ops", "there is no operation '{}'{}", name,
        nearest_or_see(name, names, "maskgrad ops"));
  return find_op(name);
}

std::string to_text(const ArgValue& value) {
  const auto print = [](const auto& v) -> std::string {
    using T = std::decay_t<decltype(v)>;
    if constexpr (std::is_same_v<T, std::vector<std::int64_t>>)
      return v.empty() ? "none" : fmt::format("{}", fmt::join(v, ","));
    else if constexpr (std::is_same_v<T, double>)
      return std::isnan(v) ? "none" : fmt::format("{}", v);  // not given
    else
      return fmt::format("{}", v);
  };
  return std::visit(print, value);
}

ArgValue parse_arg(const OpDef& op, const std::string& name, const std::string& text) {
  const auto spec = std::find_if(op.args.begin(), op.args.end(),
                                 [&](const ArgSpec& arg) { return arg.name == name; });
  std::vector<std::string> known;
  for (const ArgSpec& arg : op.args) known.push_back(arg.name);
  check(spec != op.args.end(), op.name.c_str(), "there is no argument '{}'{}", name,
        nearest_or_see(name, known, "maskgrad ops " + op.name));
  const auto parse = [&](const auto& like) -> ArgValue {
    using T = std::decay_t<decltype(like)>;
    if constexpr (std::is_same_v<T, std::string>) {
      return text;
    } else if constexpr (std::is_same_v<T, bool>) {
      check(text == "true" || text == "false", op.name.c_str(),
            "argument '{}' must be true or false, not '{}'", name, text);
      return text == "true";
    } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
      return parse_list(op, name, text);
    } else {
      return parse_number<T>(op, name, text);
    }
  };
  return std::visit(parse, spec->fallback);
}

}  // namespace maskgrad::apps
