// The registry of operations as JSON.
#pragma once

#include <string>

namespace maskgrad::apps {

/// A list with what each description says: name, summary, mask, inputs, arguments and outputs; and
/// the devices of this build.
std::string ops_as_json();

}  // namespace maskgrad::apps
