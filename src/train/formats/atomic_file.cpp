#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/atomic_file.hpp>
#include <maskgrad/train/formats/folder.hpp>
#include <maskgrad/train/formats/system_call.hpp>

namespace maskgrad {
namespace {

namespace fs = std::filesystem;

/// Where a symbolic link leads; the path itself where it is none or leads nowhere.
fs::path resolve_link(const fs::path& path) {
  std::error_code failed;
  if (!fs::is_symlink(path, failed)) return path;
  fs::path resolved = fs::canonical(path, failed);
  return failed ? path : resolved;
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

}  // namespace

void sync_folder(const fs::path& folder) {
  const int descriptor = again_if_interrupted(
      [&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) {
    if (errno == EACCES) return;  // a folder may be writable and not readable
    fail_file("cannot open folder", folder, errno);
  }
  const bool is_done = again_if_interrupted([&] { return ::fsync(descriptor); }) == 0;
  const int code = is_done ? 0 : errno;
  ::close(descriptor);
  if (code != 0 && code != EINVAL) fail_file("cannot write folder", folder, code);
}

AtomicFile::AtomicFile(const fs::path& target) : target_(resolve_link(target)) {
  if (!can_be_replaced(target_)) {
    file_.emplace(target_, OutputFile::Mode::kTruncate);
    return;
  }
  std::error_code ignored;
  if (fs::is_directory(target_, ignored)) fail_file("cannot write", target_, EISDIR);
  fs::path temporary = temporary_path(target_);
  remove_if_dead(temporary);  // left by a killed process of the same number
  file_.emplace(temporary, OutputFile::Mode::kNew, target_);
  temporary_ = std::move(temporary);
  lock_ = TemporaryLock(temporary_);
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) { file_->write(bytes); }

void AtomicFile::close() {
  if (!file_) return;
  file_->sync();
  file_->close();
  file_.reset();
}

void AtomicFile::finish() {
  close();
  lock_ = TemporaryLock();
}

void AtomicFile::take_name() {
  if (temporary_.empty()) return;
  const int renamed =
      again_if_interrupted([&] { return std::rename(temporary_.c_str(), target_.c_str()); });
  if (renamed != 0) fail_file("cannot write", target_, errno);
  temporary_.clear();
  lock_ = TemporaryLock();
}

void AtomicFile::commit() {
  close();
  if (temporary_.empty()) return;
  take_name();
  sync_folder(folder_of(target_));
}

bool can_be_replaced(const fs::path& path) {
  std::error_code ignored;
  const fs::file_type type = fs::status(path, ignored).type();
  return type != fs::file_type::character && type != fs::file_type::block &&
         type != fs::file_type::fifo && type != fs::file_type::socket;
}

void check_may_replace(const fs::path& path, std::string_view start, const char* who,
                       const char* what) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return;
  std::string found(start.size(), ' ');
  found.resize(InputFile(path).read(found.data(), found.size()));
  check(found.empty() || found == start, who,
        "'{}' is there already, and is no {}: name another file", path.string(), what);
}

void remove_dead_temporaries_of(const fs::path& target) {
  const fs::path file = resolve_link(target);
  remove_dead_temporaries(folder_of(file), [name = file.filename().string()](
                                               const std::string& other) { return other == name; });
}

void write_file(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace maskgrad
