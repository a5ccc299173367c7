// maskgrad train
#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "command.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "training_run.hpp"

namespace maskgrad::apps {
namespace {

// What the user wrote, before it is resolved.
struct Request {
  const Recipe& recipe;
  std::string config;
  std::vector<std::string> pairs;                          // --set key=value
  std::vector<std::pair<std::string, std::string>> flags;  // --key value
};

// A flag counts more than --set, that more than a file, and that more than the recipe's default.
void apply(Settings& settings, const Request& request) {
  if (!request.config.empty()) settings.load_toml(request.config);
  for (const std::string& pair : request.pairs) settings.set_pair(pair, "--set");
  for (const auto& [key, text] : request.flags) settings.set(key, text, fmt::format("--{}", key));
}

// With any other setting changed, config.toml would no longer say how the run came about.
constexpr std::array kChangeable = {"data", "device",   "epochs",  "steps",      "minutes",
                                    "lr",   "momentum", "threads", "tensorboard"};

void check_same_run(const Settings& was, const Settings& now, const RunPaths& paths) {
  for (std::size_t i = 0; i < was.all().size(); ++i) {
    const Setting &before = was.all()[i], &after = now.all()[i];
    const bool fixed =
        before.saved && std::count(kChangeable.begin(), kChangeable.end(), before.key) == 0;
    check(!fixed || before.value == after.value, "train",
          "the run in '{}' has {} = {}: it cannot go on with {}", paths.folder.string(), before.key,
          to_string(before.value), to_string(after.value));
  }
}

Settings resolve(const Request& request) {
  Settings settings(request.recipe.settings());
  apply(settings, request);
  if (!settings.flag("resume")) return settings;
  // A resumed run starts from its own settings; what is said now comes on top.
  const RunPaths paths(run_folder(request.recipe, settings));
  check(paths.is_run(), "train", "there is no run in '{}' to resume", paths.folder.string());
  Settings saved(request.recipe.settings());
  saved.load_saved_toml(paths.config);
  Settings resumed = saved;
  apply(resumed, request);
  check_same_run(saved, resumed, paths);
  return resumed;
}

void train(const Request& request) {
  const Settings settings = as_usage([&] {
    Settings resolved = resolve(request);
    request.recipe.check_settings(resolved);
    return resolved;
  });
  const InterruptRequest interrupt;
  TrainingRun run(request.recipe, settings);
  if (run.run(interrupt.requested()) == Trainer::Outcome::kDone) return;
  write_message(
      fmt::format("maskgrad: interrupted; go on with: maskgrad train {} --out {} --resume\n",
                  request.recipe.name(), run.paths().folder.string()));
  throw ExitCode{interrupt.exit_code()};
}

// "batch_size" -> "--batch-size"
std::string flag_name(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return fmt::format("--{}", key);
}

std::string capitalized(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string value_name(const Setting& setting) {
  if (std::holds_alternative<std::int64_t>(setting.value)) return "INT";
  if (std::holds_alternative<double>(setting.value)) return "NUMBER";
  if (!setting.choices.empty()) return "NAME";
  if (setting.key == "data" || setting.key == "out") return "FOLDER";
  return setting.key == "init" || setting.key == "step_log" ? "FILE" : "TEXT";
}

std::string flag_help(const Setting& setting) {
  const std::string help = capitalized(setting.help);
  return setting.choices.empty() ? help
                                 : fmt::format("{}: {}", help, fmt::join(setting.choices, ", "));
}

// Each takes effect where it stands, so that of a flag given twice the last counts.
void add_flag(CLI::App& command, const Setting& setting, const std::shared_ptr<Request>& request) {
  const std::string flag = flag_name(setting.key);
  const auto set = [request, key = flag.substr(2)](const std::string& text) {
    request->flags.emplace_back(key, text);
  };
  if (const bool* on = std::get_if<bool>(&setting.value)) {
    const auto help = [&](bool is_default) { return is_default ? " (the default)" : ""; };
    command
        .add_flag_callback(
            flag, [set] { set("true"); }, flag_help(setting) + help(*on))
        ->trigger_on_parse();
    if (!setting.saved) return;
    command
        .add_flag_callback(
            fmt::format("--no-{}", flag.substr(2)), [set] { set("false"); },
            fmt::format("The opposite of {}{}", flag, help(!*on)))
        ->trigger_on_parse();
    return;
  }
  const std::string fallback =
      std::visit([](const auto& value) { return fmt::format("{}", value); }, setting.value);
  command.add_option_function<std::string>(flag, set, flag_help(setting))
      ->type_name(value_name(setting))
      ->default_str(fallback)
      ->take_last()
      ->trigger_on_parse();
}

void add_recipe(CLI::App& train_command, const Recipe& recipe) {
  auto* command = train_command.add_subcommand(recipe.name(), recipe.summary())->group("Recipes");
  auto request =
      std::make_shared<Request>(Request{.recipe = recipe, .config = {}, .pairs = {}, .flags = {}});
  command->add_option("--config", request->config, "TOML file of any settings below: lr = 0.01")
      ->type_name("FILE");
  command->add_option("--set", request->pairs, "Any setting below: --set lr=0.01 --set seed=1")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  for (const Setting& setting : recipe.settings()) {
    if (setting.key != "recipe") add_flag(*command, setting, request);
  }
  command->footer(
      fmt::format("A flag counts more than --set, --set more than --config, and that more than the "
                  "default.\n\nExample: maskgrad train {0} --out runs/{0} --epochs 2 --seed 1",
                  recipe.name()));
  command->callback([request] { train(*request); });
}

}  // namespace

void add_train(CLI::App& program) {
  auto* command =
      program.add_subcommand("train", "Train a recipe; see maskgrad train RECIPE --help");
  // The program's formatter is shared by all subcommands, and this one chooses a recipe.
  const auto formatter = std::make_shared<CLI::Formatter>();
  formatter->label("REQUIRED", "(required)");
  formatter->label("SUBCOMMAND", "RECIPE");
  command->formatter(formatter);
  command->require_subcommand(1);
  for (const auto& recipe : recipes()) add_recipe(*command, *recipe);
  command->footer("Example: maskgrad train blog --out runs/blog --epochs 2 --seed 1");
}

}  // namespace maskgrad::apps
