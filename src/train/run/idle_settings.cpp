#include <algorithm>
#include <initializer_list>

#include <fmt/ranges.h>

#include <maskgrad/train/run/idle_settings.hpp>

namespace maskgrad {
namespace {

// `key` is part of what `of` names, where that is one of `users`.
struct Part {
  const char *key, *of;
  std::initializer_list<const char*> users;
};

const Part kParts[] = {
    {"momentum", "optimizer", {"sgd"}},
    {"weight_decay", "optimizer", {"adamw"}},
    {"beta2", "optimizer", {"adam", "adam-pytorch", "adamw"}},
    {"decay_share", "schedule", {"wsd"}},
};

}  // namespace

std::vector<std::string> idle_settings(const Settings& settings, const Settings& defaults,
                                       const RunWords& words) {
  std::vector<std::string> lines;
  for (const auto& [key, of, users] : kParts) {
    const SettingValue& value = settings.setting(key).value;
    const std::string& named = settings.text(of);
    const bool is_idle = std::ranges::find(users, named) == users.end();
    if (!is_idle || value == defaults.setting(key).value) continue;
    lines.push_back(fmt::format("{} {} does nothing: {} is {}, and only {} ha{} it",
                                words.setting(key), to_string(value), words.setting(of), named,
                                fmt::join(users, ", "), users.size() == 1 ? "s" : "ve"));
  }
  return lines;
}

}  // namespace maskgrad
