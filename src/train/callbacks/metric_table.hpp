// Tables of metrics, as epochs.csv and validation.csv hold them. Internal to src/train/callbacks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/callbacks/run_logs.hpp>

namespace maskgrad {

/// The largest table that is read.
inline constexpr std::uint64_t kMostTableBytes = std::uint64_t{1} << 26;

/// What to do about a table that is not the run's.
inline constexpr const char* kTableAdvice = "put it right, or move it away to begin a new table";

/// The rows of a table. Throws Error "[name] 'file' ...", with the line where there is one.
std::vector<EpochRow> parse_metric_table(std::string_view text, const std::string& file,
                                         const char* name);

/// Epochs that were done, with the part of one: 1.5 in the middle of the second.
double epochs_done(const Trainer& trainer);
/// "epoch,steps,loss,accuracy".
std::string metric_header(std::span<const Metric> totals);
/// ",1.25,0.5".
std::string metric_cells(std::span<const Metric> totals);

}  // namespace maskgrad
