#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <maskgrad/train/checkpoint.hpp>
#include <maskgrad/train/formats/file.hpp>
#include <maskgrad/train/formats/system_call.hpp>
#include <maskgrad/train/run/folder_claim.hpp>
#include <maskgrad/train/run/run_errors.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

// Makes the folder and those above it. Returns those that were not there, the innermost last; or
// nothing where somebody removes at the same time what they stand in.
std::optional<std::vector<fs::path>> make_missing(const fs::path& folder) {
  std::vector<fs::path> made;
  fs::path path;
  for (const fs::path& part : folder) {
    path /= part;
    if (::mkdir(path.c_str(), 0777) == 0) {
      made.push_back(path);
    } else if (errno == ENOENT && !part.empty()) {
      return std::nullopt;
    } else if (errno != EEXIST && errno != ENOENT) {
      fail_file("cannot create folder", folder, errno);
    }
  }
  return made;
}

}  // namespace

FolderClaim::FolderClaim(const RunPaths& paths, Purpose purpose) : paths_(paths), former_(paths) {
  const bool is_new = purpose == Purpose::kNewRun;
  // Another run that fails may remove the folder between two calls of this one.
  constexpr int kAttempts = 100;
  for (int i = 0; descriptor_ < 0; ++i) {
    if (i == kAttempts) fail_file("cannot create folder", paths.folder, ENOENT);
    if (is_new) {
      auto made = make_missing(paths.folder);
      if (!made) continue;
      made_ = *std::move(made);
    }
    if (!lock() && !is_new) {
      throw UsageError("train",
                       fmt::format("there is no run in '{}' to resume", paths.folder.string()));
    }
  }
  try {
    former_.recover();
    remove_half_written(paths_);
    // Where there is a checkpoint, the run that wrote it died before it could say so.
    if (former_.is_aside() && latest_checkpoint(paths_.checkpoints)) former_.remove();
    // Nor is there a run to go on with where it died before it wrote its settings.
    if (former_.is_aside() && (is_new || !paths_.is_run())) former_.put_back();
  } catch (...) {
    remove_made_folders();
    ::close(descriptor_);
    throw;
  }
}

// False where there is no such folder, or not any more. The system lets go of the lock when the
// process ends, however it ends.
bool FolderClaim::lock() {
  descriptor_ = again_if_interrupted(
      [&] { return ::open(paths_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor_ < 0 && errno == ENOENT) return false;
  if (descriptor_ < 0) {
    const char* what = errno == ENOTDIR ? "cannot create folder" : "cannot open folder";
    fail_file(what, paths_.folder, errno);
  }
  // Some network file systems know no locks; there it is up to the user.
  const bool is_locked =
      again_if_interrupted([&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); }) == 0;
  const bool is_taken = !is_locked && errno == EWOULDBLOCK;
  if (!is_taken && is_in_place()) return true;
  ::close(descriptor_);
  descriptor_ = -1;
  check(!is_taken, "train", "another run is training in '{}'", paths_.folder.string());
  return false;
}

bool FolderClaim::is_in_place() const {
  struct stat locked {
  }, there{};
  return ::fstat(descriptor_, &locked) == 0 && ::stat(paths_.folder.c_str(), &there) == 0 &&
         locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
}

void FolderClaim::check_place() const {
  check(is_in_place(), "train",
        "'{}' was moved, removed or replaced while the run was in it: nothing more is saved there",
        paths_.folder.string());
}

void FolderClaim::begin_new_run(bool own_data) {
  check_place();
  begun_ = true;
  former_.put_aside(own_data);
}

void FolderClaim::keep() {
  if (kept_) return;
  kept_ = true;
  former_.remove();
}

void FolderClaim::undo() {
  if (!is_in_place()) return;
  if (begun_) {
    former_.recover();
    if (former_.is_aside()) former_.put_back();
  }
  remove_made_folders();
}

// Those that are empty.
void FolderClaim::remove_made_folders() const {
  for (auto path = made_.rbegin(); path != made_.rend(); ++path) {
    if (::rmdir(path->c_str()) != 0) return;
  }
}

FolderClaim::~FolderClaim() {
  try {
    if (!kept_) undo();
  } catch (const std::exception&) {  // the next claim tidies up
  }
  ::close(descriptor_);
}

}  // namespace maskgrad
