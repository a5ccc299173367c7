// Settings of recipes whose runs have phases.
#pragma once

#include <span>

#include <maskgrad/train/settings.hpp>

namespace maskgrad::apps {

/// A number from 0 to 1, "share of the steps: ...".
Setting share_setting(const char* key, double value, const char* help);
/// A number from 1 to 4096, of a model's features, layers, heads.
Setting size_setting(const char* key, std::int64_t value, const char* help);

/// Throws Error "[<recipe>] ..." unless the run has steps, and the phases that `shares` name take
/// no more than all of them.
void check_phases(const Settings& settings, std::span<const char* const> shares,
                  const char* recipe);

}  // namespace maskgrad::apps
