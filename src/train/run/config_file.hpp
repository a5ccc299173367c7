// The config.toml of a run.
#pragma once

#include <string>

#include <maskgrad/train/notes.hpp>
#include <maskgrad/train/run/folder_claim.hpp>
#include <maskgrad/train/settings.hpp>

namespace maskgrad {

/// Writes the settings of a run into its claimed folder.
class ConfigFile {
 public:
  /// `claim` must outlive it.
  ConfigFile(const RunPaths& paths, const FolderClaim& claim) : paths_(paths), claim_(claim) {}

  /// Throws Error where the folder is not the claimed one any more, or the file cannot be written.
  void write(const Settings& settings) const;
  /// The same for a run that goes on: what the file held is remembered.
  void replace(const Settings& settings);
  /// Undoes replace(): with settings that lead nowhere, going on would fail again. `warn` hears
  /// where that fails.
  void put_back(const Warn& warn) const;

 private:
  RunPaths paths_;
  const FolderClaim& claim_;
  std::string former_;  // empty: it was not replaced
};

}  // namespace maskgrad
