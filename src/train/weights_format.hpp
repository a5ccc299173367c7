// What checkpoints and models have in common: safetensors files whose metadata name format and
// version, and hold notes.
#pragma once

#include <filesystem>
#include <string>

#include <maskgrad/train/formats/safetensors.hpp>
#include <maskgrad/train/notes.hpp>

namespace maskgrad {

/// The version that is written. The first had neither digests nor notes.
inline constexpr int kWeightsVersion = 2;

/// "maskgrad checkpoint 2" for kind "checkpoint": the value of "format" among the metadata.
std::string weights_format(const std::string& kind, int version = kWeightsVersion);

/// True when "format" names this kind, in whatever version.
bool is_of_kind(const Metadata& metadata, const std::string& kind);

/// Metadata of this kind with each note under "note.<key>", keys and values by utf8_from_bytes.
Metadata weights_metadata(const std::string& kind, const Notes& notes);

/// The notes among the metadata, none for a file that has none.
Notes notes_of(const Metadata& metadata);

/// Throws Error "[kind] 'x' has format 'maskgrad checkpoint 3', ..." unless `metadata` are of this
/// kind and of the version that is written.
void check_format(const Metadata& metadata, const char* kind, const std::filesystem::path& path);

}  // namespace maskgrad
