#include "cli/usage.hpp"

#include <algorithm>
#include <vector>

#include <maskgrad/tensor/nearest_name.hpp>
#include <maskgrad/tensor/shortened.hpp>

#include "cli/program.hpp"

namespace maskgrad::apps {
namespace {

std::vector<CLI::App*> subcommands_of(CLI::App& command) {
  return command.get_subcommands([](CLI::App*) { return true; });
}

// What `command` chooses between.
std::string noun(const CLI::App& command) {
  if (command.get_name() == "train") return "recipe";
  return command.get_name() == "data" ? "data set" : "subcommand";
}

// Whether `option` begins as `name` does, and has its letters in this order: "shw" in "show-work".
bool is_short_for(std::string_view name, std::string_view option) {
  if (name.empty() || !option.starts_with(name.front())) return false;
  for (const char letter : option) {
    if (!name.empty() && letter == name.front()) name.remove_prefix(1);
  }
  return name.empty();
}

// Dashes, which all names have, make none of them near.
std::string suggestion(const CLI::App& command, std::string name) {
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options()) {
    known.insert(known.end(), option->get_lnames().begin(), option->get_lnames().end());
  }
  name.erase(0, name.find_first_not_of('-'));
  std::string meant = nearest_name(name, known);
  const auto fits = [&](const std::string& option) { return is_short_for(name, option); };
  if (meant.empty() && name.size() >= 3 && std::ranges::count_if(known, fits) == 1) {
    meant = *std::ranges::find_if(known, fits);
  }
  return meant.empty() ? "" : fmt::format("; did you mean '--{}'?", meant);
}

// Says where the option belongs: behind a command that was named, or else behind what the last of
// these chooses between. Empty: neither has it.
std::string place_of_option(CLI::App& command, const std::string& name) {
  CLI::App* given = &command;
  while (!given->get_subcommands().empty()) {
    const CLI::App& parent = *given;
    given = parent.get_subcommands().front();
    if (given->get_option_no_throw(name)) {
      return fmt::format("behind the {} '{}'", noun(parent), given->get_name());
    }
  }
  const auto has_it = [&](const CLI::App* sub) {
    return sub->get_option_no_throw(name) != nullptr;
  };
  const std::vector<CLI::App*> all = subcommands_of(*given);
  const auto count = std::ranges::count_if(all, has_it);
  if (count == 0) return "";
  if (count > 1) return fmt::format("behind the name of a {}", noun(*given));
  return fmt::format("behind the {} '{}'", noun(*given),
                     (*std::ranges::find_if(all, has_it))->get_name());
}

std::string unknown_option(CLI::App& command, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  const std::string place = place_of_option(command, name);
  if (!place.empty()) return fmt::format("option '{}' belongs {}", shortened(name), place);
  return fmt::format("there is no option '{}'{}", shortened(name), suggestion(command, name));
}

std::string unknown_argument(CLI::App& command, const std::string& argument) {
  std::vector<std::string> known;
  for (const CLI::App* sub : subcommands_of(command)) known.push_back(sub->get_name());
  if (known.empty()) return fmt::format("unexpected argument '{}'", shortened(argument));
  return fmt::format("there is no {} '{}'{}", noun(command), shortened(argument),
                     did_you_mean(argument, known));
}

std::string missing_subcommand(CLI::App& command) {
  std::string names;
  for (const CLI::App* sub : subcommands_of(command)) {
    names += (names.empty() ? "" : ", ") + sub->get_name();
  }
  return fmt::format("which {}? {}", noun(command), names);
}

std::string problem(CLI::App& command, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = command.remaining();
  const auto option = std::find_if(unknown.begin(), unknown.end(), [](const std::string& text) {
    return text.size() > 1 && text.starts_with('-');
  });
  const bool lacks_subcommand =
      command.get_subcommands().empty() && !subcommands_of(command).empty();
  // What stands where the subcommand belongs is the cause of all that follows.
  if (lacks_subcommand && option != unknown.begin() && !unknown.empty())
    return unknown_argument(command, unknown.front());
  if (option != unknown.end()) return unknown_option(command, *option);
  if (!unknown.empty()) return unknown_argument(command, unknown.front());
  if (lacks_subcommand) return missing_subcommand(command);
  const std::string text = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
    return text.substr(0, text.find(':')) + " needs a value";
  }
  return text;
}

}  // namespace

UsageError explain(CLI::App& program, const CLI::ParseError& error) {
  // The first command with an argument that it does not know, else the last one.
  CLI::App* command = &program;
  std::string path = program_word();
  while (command->remaining().empty() && !command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    path += " " + command->get_name();
  }
  std::string text = problem(*command, error);
  if (!text.ends_with('?')) text += fmt::format("; see {} --help", path);
  return {"usage", text};
}

std::string nearest_or_see(const std::string& name, std::span<const std::string> known,
                           const std::string& see) {
  const std::string nearest = did_you_mean(name, known);
  return nearest.empty() ? fmt::format("; see {} {}", program_word(), see) : nearest;
}

double parse_number(const std::string& flag, const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw CLI::ValidationError(fmt::format("{} must be a number, not '{}'", flag, shortened(text)));
  }
  return number;
}

CLI::Option* add_number(CLI::App& command, const std::string& flag, double& value,
                        const std::string& help) {
  const auto parse = [flag, &value](const std::string& text) { value = parse_number(flag, text); };
  return command.add_option_function<std::string>(flag, parse, help)
      ->type_name("NUMBER")
      ->default_str(fmt::format("{}", value))
      ->take_last();
}

}  // namespace maskgrad::apps
