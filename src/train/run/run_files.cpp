#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/run/run_errors.hpp>
#include <maskgrad/train/run/run_files.hpp>
#include <maskgrad/train/run/run_settings.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

bool is_checkpoint(const std::string& name) {
  return name.starts_with("step_") && name.ends_with(".safetensors");
}
bool is_event_file(const std::string& name) { return name.find("tfevents") != std::string::npos; }
bool is_shard(const std::string& name) {
  return name == "shards.json" || (name.starts_with("shard_") && name.ends_with(".tfrecords"));
}

struct Subfolder {
  fs::path name;
  bool (*is_ours)(const std::string& name);
};

// Those of a run, relative to its folder.
std::vector<Subfolder> subfolders(bool own_data) {
  const RunPaths in("");
  std::vector<Subfolder> all = {{in.checkpoints, is_checkpoint}, {in.logs, is_event_file}};
  if (own_data) all.push_back({in.own_data, is_shard});
  return all;
}

// Whether a run keeps a file of this name in its folder itself.
bool is_file_of_a_run(const fs::path& name) {
  const std::vector<fs::path> files = RunPaths("").files();
  return std::find(files.begin(), files.end(), name) != files.end();
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// The files below `folder` that a run wrote, relative to it.
std::vector<fs::path> files_of_a_run(const fs::path& folder, bool own_data) {
  std::vector<fs::path> found;
  for (const fs::path& file : RunPaths("").files()) {
    if (is_there(folder / file)) found.push_back(file);
  }
  for (const Subfolder& sub : subfolders(own_data)) {
    for (const fs::path& path : list_folder(folder / sub.name)) {
      const std::string name = path.filename().string();
      if (sub.is_ours(name)) found.push_back(sub.name / name);
    }
  }
  return found;
}

void move_file(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) fail_file("cannot move", from, errno);
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) fail_file("cannot remove", path, error.value());
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(fs::symlink_status(path, ignored));
}

// What others put into one stays, and so does it.
void remove_empty_subfolders(const fs::path& folder, bool own_data) {
  std::error_code ignored;
  for (const Subfolder& sub : subfolders(own_data)) {
    if (is_folder(folder / sub.name)) fs::remove(folder / sub.name, ignored);
  }
}

void remove_files(const fs::path& folder, bool own_data) {
  for (const fs::path& file : files_of_a_run(folder, own_data)) remove_file(folder / file);
  remove_empty_subfolders(folder, own_data);
}

// Subfolders move too, empty ones included.
void move_files(const fs::path& from, const fs::path& to, bool own_data) {
  for (const Subfolder& sub : subfolders(own_data)) {
    if (is_folder(from / sub.name)) make_folder(to / sub.name);
  }
  for (const fs::path& file : files_of_a_run(from, own_data)) {
    make_folder((to / file).parent_path());  // where it is in a folder that a link leads to
    move_file(from / file, to / file);
  }
  remove_empty_subfolders(from, own_data);
}

// The first thing in the folder that a new run would overwrite; empty when there is none.
fs::path first_in_the_way(const RunPaths& paths, bool own_data) {
  std::error_code ignored;
  for (const fs::path& file : paths.files()) {
    if (is_there(file)) return file;
  }
  for (const Subfolder& sub : subfolders(own_data)) {
    const fs::path path = paths.folder / sub.name;
    if (is_there(path) && !(fs::is_directory(path, ignored) && list_folder(path).empty()))
      return path;
  }
  return {};
}

// A folder that tells that the new run makes its own data.
constexpr const char* kMakesData = "makes_data";

}  // namespace

void check_holds_no_run(const RunPaths& paths, bool own_data, const RunWords& words) {
  if (paths.is_run()) {
    throw UsageError("train", fmt::format("'{}' holds a run already: {} goes on with it, "
                                          "{} replaces it, {} names another folder",
                                          paths.folder.string(), words.setting("resume"),
                                          words.setting("force"), words.setting("out")));
  }
  const fs::path obstacle = first_in_the_way(paths, own_data);
  if (obstacle.empty()) return;
  throw UsageError("train",
                   fmt::format("there is a '{}' already: {} replaces it, {} names another folder",
                               obstacle.string(), words.setting("force"), words.setting("out")));
}

void check_is_no_file_of(const RunPaths& paths, const fs::path& path, const char* command) {
  const fs::path within = path_within(path, paths.folder);
  if (within.empty()) return;
  const fs::path first = *within.begin();
  const std::vector<Subfolder> subs = subfolders(true);
  const bool is_own = is_file_of_a_run(first) ||
                      std::any_of(subs.begin(), subs.end(),
                                  [&](const Subfolder& sub) { return sub.name == first; });
  if (!is_own) return;
  throw UsageError(
      command, fmt::format("'{}' belongs to the run itself: choose another place", path.string()));
}

void check_is_of_no_run(const fs::path& path, const char* command) {
  const fs::path folder = resolved_path(path).parent_path();
  for (const RunPaths& run : {RunPaths(folder), RunPaths(folder.parent_path())}) {
    if (run.is_run()) check_is_no_file_of(run, path, command);
  }
}

void remove_half_written(const RunPaths& paths) {
  remove_dead_temporaries(paths.folder, is_file_of_a_run);
  for (const Subfolder& sub : subfolders(true)) {
    remove_dead_temporaries(paths.folder / sub.name, sub.is_ours);
  }
}

void FormerRun::put_aside(bool own_data) {
  make_folder(moving());
  if (own_data) make_folder(moving() / kMakesData);
  move_files(paths_.folder, moving(), own_data);
  move_file(moving(), aside());
}

bool FormerRun::is_aside() const { return is_there(aside()); }

void FormerRun::put_back() {
  remove_files(paths_.folder, is_there(aside() / kMakesData));
  move_file(aside(), moving());
  recover();
}

void FormerRun::remove() {
  if (!is_aside()) return;
  move_file(aside(), unwanted());
  recover();
}

void FormerRun::recover() {
  if (is_there(moving())) {
    move_files(moving(), paths_.folder, true);
    remove_file(moving() / kMakesData);
    remove_file(moving());
  }
  if (is_there(unwanted())) {
    remove_files(unwanted(), true);
    remove_file(unwanted() / kMakesData);
    remove_file(unwanted());
  }
}

}  // namespace maskgrad
