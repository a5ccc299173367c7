#include "cli/recipe_data.hpp"

#include <maskgrad/train/run/run_settings.hpp>

#include "cli/command.hpp"
#include "cli/run_folder.hpp"

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// Loads the data sets of one run.
class RecipeData {
 public:
  RecipeData(const Recipe& recipe, const Settings& settings, const RunPaths& paths)
      : recipe_(recipe),
        settings_(settings),
        paths_(paths),
        resume_(settings.flag("resume")),
        draws_(recipe.data_source() == DataSource::kDrawn),
        own_data_(!draws_ && settings.text("data").empty()) {}

  std::shared_ptr<const Dataset> training() const { return load_part(DataPart::kTraining); }

  std::shared_ptr<const Dataset> validation() const {
    if (draws_ || settings_.text("val").empty()) return load_part(DataPart::kHeldOut);
    const fs::path folder = settings_.text("val");
    // Data that are there belong to a run that the new one takes the place of.
    if (!resume_ && own_data_ && !path_within(folder, paths_.own_data).empty()) {
      throw UsageError("train", fmt::format("the run makes its own data in '{}': --val must name "
                                            "another folder",
                                            folder.string()));
    }
    check_data_folder(folder, paths_, !is_from_config("val"), "--val");
    return load(folder, DataPart::kAll);
  }

 private:
  std::shared_ptr<const Dataset> load_part(DataPart part) const {
    if (draws_) return load({}, part);
    const fs::path folder = own_data_ ? paths_.own_data : fs::path(settings_.text("data"));
    check_data_folder(folder, paths_, !is_from_config("data"));
    return load(folder, part);
  }

  bool is_from_config(const char* key) const {
    if (!resume_) return false;
    const Settings saved = read_saved_settings(Settings(recipe_.settings()), paths_);
    return settings_.text(key) == saved.text(key);
  }

  std::shared_ptr<const Dataset> load(const fs::path& folder, DataPart part) const {
    std::shared_ptr<const Dataset> data = recipe_.load_data(settings_, folder, part);
    check(data->size() > 0, "data", "{} no samples",
          draws_ ? "the settings ask for" : fmt::format("'{}' holds", folder.string()));
    return data;
  }

  const Recipe& recipe_;
  const Settings& settings_;
  const RunPaths& paths_;
  bool resume_, draws_, own_data_;
};

}  // namespace

bool validates(const Recipe& recipe, const Settings& settings) {
  const bool has_val = recipe.data_source() != DataSource::kDrawn && !settings.text("val").empty();
  return has_val || recipe.holds_out(settings);
}

RunData recipe_data(const Recipe& recipe, const Settings& settings, const RunPaths& paths) {
  const RecipeData data(recipe, settings, paths);
  RunData result = {.training = [data] { return data.training(); }};
  if (validates(recipe, settings)) result.validation = [data] { return data.validation(); };
  if (recipe.data_source() == DataSource::kFolder && settings.text("data").empty()) {
    result.make = [&] { recipe.write_data(settings, paths.own_data); };
    result.makes_validation = settings.text("val").empty();
  }
  return result;
}

}  // namespace maskgrad::apps
