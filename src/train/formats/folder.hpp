// Makes folders, lists them, and removes what dead processes left in them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace maskgrad {

/// Makes the folder and those above it; one that is there is fine. Throws Error "[file] cannot
/// create folder 'x': <reason>".
void make_folder(const std::filesystem::path& folder);

/// What the folder holds, sorted by name; nothing when there is no such folder. Throws Error
/// "[file] cannot read folder 'x': <reason>".
std::vector<std::filesystem::path> list_folder(const std::filesystem::path& folder);

/// Removes temporary files of AtomicFile (`<target>.tmp.<pid>`) whose process died. It looks at
/// those directly in the folder for whose target's name `is_target` is true. Returns their paths.
/// Throws Error as list_folder().
std::vector<std::filesystem::path> remove_dead_temporaries(
    const std::filesystem::path& folder,
    const std::function<bool(const std::string& name)>& is_target);

}  // namespace maskgrad
