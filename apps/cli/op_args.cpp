#include "cli/op_args.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include <maskgrad/tensor/shortened.hpp>

#include "cli/usage.hpp"

namespace maskgrad::apps {
namespace {

// The number that `text` is, if allowed(number).
template <class Allowed>
Scalar parse_number(const OpDef& op, const std::string& name, std::string_view text,
                    const char* wanted, Allowed allowed) {
  const std::optional<Scalar> number = parse_scalar(text);
  check(number && allowed(*number), op.name.c_str(), "argument '{}' must be {}, not '{}'", name,
        wanted, shortened(text));
  return *number;
}

std::int64_t parse_integer(const OpDef& op, const std::string& name, std::string_view text) {
  const auto is_whole = [](const Scalar& n) { return n.kind() == Scalar::Kind::kInteger; };
  return parse_number(op, name, text, "a whole number of at most 64 bits", is_whole)
      .to<std::int64_t>(op.name.c_str(), fmt::format("argument '{}':", name));
}

// NaN stands for none where that is the default.
double parse_real(const OpDef& op, const std::string& name, std::string_view text,
                  double fallback) {
  const bool optional = std::isnan(fallback);
  if (optional && text == "none") return fallback;
  const auto is_real = [&](const Scalar& n) {
    return n.kind() != Scalar::Kind::kBool && !(optional && n != n);
  };
  return parse_number(op, name, text, optional ? "a number or none" : "a number", is_real)
      .to<double>(op.name.c_str(), fmt::format("argument '{}':", name));
}

std::vector<std::int64_t> parse_list(const OpDef& op, const std::string& name,
                                     std::string_view text) {
  std::vector<std::int64_t> numbers;
  if (text == "none") return numbers;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    numbers.push_back(parse_integer(op, name, item));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
  }
  return numbers;
}

}  // namespace

const OpDef& known_op(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, op] : registry()) names.push_back(known);
  check(registry().contains(name), "ops", "there is no operation '{}'{}", shortened(name),
        nearest_or_see(name, names, "ops"));
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
  check(spec != op.args.end(), op.name.c_str(), "there is no argument '{}'{}", shortened(name),
        nearest_or_see(name, known, "ops " + op.name));
  const auto parse = [&](const auto& like) -> ArgValue {
    using T = std::decay_t<decltype(like)>;
    if constexpr (std::is_same_v<T, std::string>) {
      return text;
    } else if constexpr (std::is_same_v<T, bool>) {
      check(text == "true" || text == "false", op.name.c_str(),
            "argument '{}' must be true or false, not '{}'", name, shortened(text));
      return text == "true";
    } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
      return parse_list(op, name, text);
    } else if constexpr (std::is_same_v<T, Scalar>) {
      return parse_number(op, name, text, "a number", [](const Scalar&) { return true; });
    } else if constexpr (std::is_same_v<T, double>) {
      return parse_real(op, name, text, like);
    } else {
      return parse_integer(op, name, text);
    }
  };
  return std::visit(parse, spec->fallback);
}

}  // namespace maskgrad::apps
