// Settings of recipes whose runs have phases.
#pragma once

#include <span>

#include <maskgrad/train/settings.hpp>

namespace maskgrad::apps {

/// A number from 0 to 1. Its help is "share " and `help`.
Setting share_setting(const char* key, double value, const char* help);
/// A number from 1 to 4096, of a model's features, layers, heads.
Setting size_setting(const char* key, std::int64_t value, const char* help);

/// The setting `steps`, for training_settings(). A run that goes on keeps it: with another value
/// its phases would begin elsewhere.
Setting steps_setting(std::int64_t value);

/// Throws Error "[<recipe>] ..." unless the run has steps, nothing ends it before the last of them,
/// and the phases that `shares` name take no more than all of them. An epoch has `samples`.
void check_phases(const Settings& settings, std::span<const char* const> shares,
                  const char* recipe);

/// Throws Error "[<recipe>] ..." where batches are cut into parts. For a loss that is no sum over
/// samples: it would be another one.
void check_whole_batches(const Settings& settings, const char* recipe);

}  // namespace maskgrad::apps
