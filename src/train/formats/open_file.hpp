// Internal to files: how they are opened for reading.
#pragma once

#include <filesystem>

namespace maskgrad {

/// A descriptor of a regular file, open for reading; the caller closes it. Throws Error as
/// InputFile's constructor.
int open_regular_file(const std::filesystem::path& path);

}  // namespace maskgrad
