// maskgrad train
#include <algorithm>

#include <fmt/core.h>

#include "command.hpp"
#include "interrupt.hpp"
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

Settings resolve(const Request& request) {
  Settings settings(request.recipe.settings());
  apply(settings, request);
  if (!settings.flag("resume")) return settings;
  // A resumed run starts from its own settings; what is said now comes on top.
  const RunPaths paths(run_folder(request.recipe, settings));
  check(paths.is_run(), "train", "there is no run in '{}' to resume", paths.folder.string());
  Settings resumed(request.recipe.settings());
  resumed.load_toml(paths.config);
  apply(resumed, request);
  return resumed;
}

void train(const Request& request) {
  const Settings settings = as_usage([&] { return resolve(request); });
  const InterruptRequest interrupt;
  TrainingRun run(request.recipe, settings);
  if (run.run(interrupt.requested()) == Trainer::Outcome::kDone) return;
  fmt::print(stderr, "maskgrad: interrupted; go on with: maskgrad train {} --out {} --resume\n",
             request.recipe.name(), run.paths().folder.string());
  throw ExitCode{interrupt.exit_code()};
}

// "batch_size" -> "--batch-size"
std::string flag_name(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return fmt::format("--{}", key);
}

std::string flag_help(const Setting& setting) {
  std::string help = setting.help;
  for (std::size_t i = 0; i < setting.choices.size(); ++i) {
    help += (i ? "|" : ": ") + setting.choices[i];
  }
  return fmt::format("{} [{}]", help, to_string(setting.value));
}

void add_flag(CLI::App& command, const Setting& setting, const std::shared_ptr<Request>& request) {
  const std::string key = setting.key, flag = flag_name(key);
  const auto set = [request, key = flag.substr(2)](const std::string& text) {
    request->flags.emplace_back(key, text);
  };
  if (std::holds_alternative<bool>(setting.value)) {
    command.add_flag_callback(
        flag, [set] { set("true"); }, flag_help(setting));
    if (setting.saved)
      command.add_flag_callback(fmt::format("--no-{}", flag.substr(2)), [set] { set("false"); });
  } else {
    command.add_option_function<std::string>(flag, set, flag_help(setting));
  }
}

void add_recipe(CLI::App& train_command, const Recipe& recipe) {
  auto* command = train_command.add_subcommand(recipe.name(), recipe.summary());
  auto request =
      std::make_shared<Request>(Request{.recipe = recipe, .config = {}, .pairs = {}, .flags = {}});
  command->add_option("--config", request->config,
                      "TOML file with any of the settings below as keys");
  command->add_option("--set", request->pairs, "key=value for any of the settings below")
      ->allow_extra_args(false);
  for (const Setting& setting : recipe.settings()) {
    if (setting.key != "recipe") add_flag(*command, setting, request);
  }
  command->footer(
      fmt::format("Example: maskgrad train {0} --out runs/{0} --epochs 2 --seed 1", recipe.name()));
  command->callback([request] { train(*request); });
}

}  // namespace

void add_train(CLI::App& program) {
  auto* command =
      program.add_subcommand("train", "Train a recipe; see maskgrad train RECIPE --help");
  command->require_subcommand(1);
  for (const auto& recipe : recipes()) add_recipe(*command, *recipe);
  command->footer("Example: maskgrad train blog --out runs/blog --epochs 2 --seed 1");
}

}  // namespace maskgrad::apps
