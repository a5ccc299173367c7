#include "folder_claim.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <maskgrad/train/formats/file.hpp>

namespace maskgrad::apps {
namespace {

namespace fs = std::filesystem;

// Removes the files of a folder that `is_ours` accepts by name, then the folder if it is empty.
template <class F>
void clear_folder(const fs::path& folder, F is_ours) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (is_ours(entry.path().filename().string())) found.push_back(entry.path());
  }
  for (const fs::path& path : found) fs::remove(path, ignored);
  if (fs::is_directory(folder, ignored)) fs::remove(folder, ignored);
}

std::vector<fs::path> missing_folders(const fs::path& folder) {
  std::vector<fs::path> missing;
  for (fs::path path = fs::absolute(folder).lexically_normal(); !fs::exists(path);) {
    if (path.has_filename()) missing.push_back(path);
    path = path.parent_path();
  }
  return missing;
}

}  // namespace

fs::path first_in_the_way(const RunPaths& paths, bool own_data) {
  for (const fs::path& path : {paths.config, paths.epochs, paths.model, paths.report,
                               paths.checkpoints, paths.logs, paths.own_data}) {
    if (path == paths.own_data && !own_data) continue;
    if (fs::is_directory(path) ? !fs::is_empty(path) : fs::exists(path)) return path;
  }
  return {};
}

void remove_run_files(const RunPaths& paths, bool own_data) {
  std::error_code ignored;
  for (const fs::path& file : {paths.config, paths.epochs, paths.model, paths.report}) {
    fs::remove(file, ignored);
  }
  clear_folder(paths.checkpoints, [](const std::string& name) {
    return name.starts_with("step_") && name.find(".safetensors") != std::string::npos;
  });
  clear_folder(paths.logs,
               [](const std::string& name) { return name.find("tfevents") != std::string::npos; });
  if (!own_data) return;
  clear_folder(paths.own_data, [](const std::string& name) {
    return name.starts_with("shards.json") ||
           (name.starts_with("shard_") && name.find(".tfrecords") != std::string::npos);
  });
}

FolderClaim::FolderClaim(const RunPaths& paths, Purpose purpose, bool own_data)
    : paths_(paths), purpose_(purpose), own_data_(own_data), made_(missing_folders(paths.folder)) {
  std::error_code error;
  fs::create_directories(paths.folder, error);
  if (error) fail_file("cannot create folder", paths.folder, error.value());
  lock();
}

// The system lets go of the lock when the process ends, however it ends.
void FolderClaim::lock() {
  descriptor_ = ::open(paths_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) fail_file("cannot open folder", paths_.folder, errno);
  // Some network file systems know no locks; there it is up to the user.
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  fail("train", "another process is training in '{}'", paths_.folder.string());
}

FolderClaim::~FolderClaim() {
  if (!kept_ && purpose_ == Purpose::kNewRun) {
    remove_run_files(paths_, own_data_);
    std::error_code ignored;
    for (const fs::path& folder : made_) {
      if (!fs::remove(folder, ignored)) break;
    }
  }
  ::close(descriptor_);
}

}  // namespace maskgrad::apps
