// What a report shows of runs, and writing it.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace maskgrad::apps {

/// Writes a report of the runs, drawn together, into `out`. Its summary ends with `notes`. Of
/// several runs one that cannot be read is left out: the page names it, and it is returned as a
/// line that says why. Throws Error when the only run cannot be read, or none of them.
std::vector<std::string> write_report(std::span<const std::filesystem::path> runs,
                                      const std::filesystem::path& out,
                                      std::vector<std::string> notes = {});

}  // namespace maskgrad::apps
