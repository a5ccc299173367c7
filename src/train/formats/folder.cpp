#include <algorithm>
#include <system_error>

#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/temporary_lock.hpp>

namespace maskgrad {

namespace fs = std::filesystem;

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_file("cannot create folder", folder, error.value());
}

std::vector<fs::path> list_folder(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  // No range-for: it would go on by an increment that throws errors of its own.
  for (fs::directory_iterator one(folder, error), end; !error && one != end; one.increment(error)) {
    paths.push_back(one->path());
  }
  if (error == std::errc::no_such_file_or_directory) return {};
  if (error) fail_file("cannot read folder", folder, error.value());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<fs::path> remove_dead_temporaries(
    const fs::path& folder, const std::function<bool(const std::string& name)>& is_target) {
  std::vector<fs::path> removed;
  for (const fs::path& path : list_folder(folder)) {
    const std::string target = target_name(path);
    if (!target.empty() && is_target(target) && remove_if_dead(path)) removed.push_back(path);
  }
  return removed;
}

}  // namespace maskgrad
