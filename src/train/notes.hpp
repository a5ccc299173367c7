// Short texts by name that travel with a run's weights.
#pragma once

#include <functional>
#include <map>
#include <string>

namespace maskgrad {

/// What a checkpoint or a model holds besides its tensors: the settings of its run, the fingerprint
/// of its data, the digests of its tables. Keys and values may be any bytes.
using Notes = std::map<std::string, std::string>;

/// Called with one line of text when something is wrong and the run goes on all the same.
using Warn = std::function<void(const std::string&)>;

}  // namespace maskgrad
