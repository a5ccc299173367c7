// What a report shows of runs, and writing it.
#pragma once

#include <filesystem>
#include <span>

namespace maskgrad::apps {

/// Writes a report of the runs, drawn together, into `out`. Throws Error when one has not ended.
void write_report(std::span<const std::filesystem::path> runs, const std::filesystem::path& out);

}  // namespace maskgrad::apps
