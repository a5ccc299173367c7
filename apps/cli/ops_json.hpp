// The registry of operations as JSON.
#pragma once

#include <string>

namespace maskgrad::apps {

/// A list with what each description says: name, summary, mask, inputs, arguments and outputs. It
/// says nothing of devices, so every build of the same sources gives the same text.
std::string ops_as_json();

}  // namespace maskgrad::apps
