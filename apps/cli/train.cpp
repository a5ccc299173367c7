// maskgrad train
#include <cctype>

#include <fmt/format.h>

#include <maskgrad/tensor/cuda/choose_device.hpp>
#include <maskgrad/train/run/run_files.hpp>
#include <maskgrad/train/run/run_settings.hpp>
#include <maskgrad/train/run/same_run.hpp>
#include <maskgrad/train/run/training_settings.hpp>

#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/output.hpp"
#include "cli/program.hpp"
#include "cli/recipe_data.hpp"
#include "cli/run_folder.hpp"
#include "cli/text.hpp"
#include "cli/train_recipe.hpp"

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
  if (!request.config.empty()) {
    const std::filesystem::path file = request.config;
    const auto [version, keys] = settings.load_toml(file);
    // A run's own file means its paths from its own folder; one by hand, from here.
    const Settings used = as_used(settings, file.parent_path());
    for (const std::string& key : keys) {
      if (version > 0) settings.copy(key, used);
    }
  }
  for (const std::string& pair : request.pairs) settings.set_pair(pair, "--set");
  for (const auto& [key, text] : request.flags) {
    if (key == "device") check_device_name(text, "--device");  // as other commands say it
    settings.set(key, text, fmt::format("--{}", key));
  }
}

void check_settings(const Recipe& recipe, const Settings& settings) {
  check_training_settings(settings, validates(recipe, settings), {.setting = flag_name});
  recipe.check_settings(settings);
}

// A resumed run goes on with the settings in its config.toml, and what is said now on top.
Settings resumed_settings(const Request& request, const RunPaths& paths) {
  const Recipe& recipe = request.recipe;
  as_usage([&] {
    check(paths.is_run(), "train", "there is no run in '{}' to resume", paths.folder.string());
  });
  const auto ask = [&](Settings settings) {
    apply(settings, request);
    return settings;
  };
  const Settings settings = [&] {
    try {
      return settings_to_go_on(Settings(recipe.settings()), paths, ask);
    } catch (const Error&) {
      as_usage([&] {
        check_recipe_in_config(paths);
        // A run of a name that is no recipe's has an error of its own.
        const Recipe* const other = find_recipe(toml_text(paths.config, "recipe").value_or(""));
        if (other == nullptr || other == &recipe) return;
        fail("train", "the run in '{}' is of recipe {}: go on with: {}", paths.folder.string(),
             other->name(), command_to_go_on(*other, paths));
      });
      throw;
    }
  }();
  as_usage([&] { check_settings(recipe, settings); });
  return settings;
}

Settings new_settings(const Request& request) {
  Settings settings(request.recipe.settings());
  apply(settings, request);
  check(!settings.flag("resume") || !settings.flag("force"), "train",
        "--resume and --force contradict each other");
  if (settings.flag("resume")) return settings;
  check_settings(request.recipe, settings);
  return settings;
}

void train(const Request& request) {
  survive_closed_pipes();
  const InterruptRequest interrupt;
  const Settings asked = as_usage([&] { return new_settings(request); });
  const RunPaths paths(run_folder(request.recipe.name(), asked));
  const bool resume = asked.flag("resume");
  const std::string& step_log = asked.text("step_log");
  if (!step_log.empty()) check_is_no_file_of(paths, step_log, "train");
  FolderClaim claim(paths, resume ? FolderClaim::Purpose::kResume : FolderClaim::Purpose::kNewRun);
  const Settings settings = resume ? resumed_settings(request, paths) : asked;
  const auto outcome = train_recipe(request.recipe, settings, claim, interrupt.requested());
  if (outcome == Trainer::Outcome::kDone) return;
  write_message(fmt::format("maskgrad: interrupted; go on with: {}\n",
                            one_line(command_to_go_on(request.recipe, paths))));
  throw ExitCode{interrupt.exit_code()};
}

std::string capitalized(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string value_name(const Setting& setting) {
  if (std::holds_alternative<std::int64_t>(setting.value)) return "INT";
  if (std::holds_alternative<std::uint64_t>(setting.value)) return "INT";
  if (std::holds_alternative<double>(setting.value)) return "NUMBER";
  if (setting.path == PathTo::kFolder) return "FOLDER";
  if (setting.path == PathTo::kFile) return "FILE";
  return setting.choices.empty() ? "TEXT" : "NAME";
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
  command
      ->add_option("--config", request->config,
                   "TOML file with any of the settings below, such as lr = 0.01")
      ->type_name("FILE");
  command
      ->add_option("--set", request->pairs,
                   "A setting below by its name, such as lr=0.01; may be given several times")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  for (const Setting& setting : recipe.settings()) {
    if (setting.key != "recipe") add_flag(*command, setting, request);
  }
  command->footer(
      "Of a setting that is given twice, a flag counts, else --set, else --config.\n\n" +
      examples({fmt::format("train {0} --out runs/{0} {1}", recipe.name(), recipe.example())}));
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
  command->footer(examples({"train blog --out runs/blog --epochs 2 --seed 1"}));
}

}  // namespace maskgrad::apps
