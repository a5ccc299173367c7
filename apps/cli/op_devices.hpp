// The devices that an operation runs on.
#pragma once

#include <string>

#include <maskgrad/tensor/autograd/op_def.hpp>

namespace maskgrad::apps {

/// Those of this build: "cpu, cuda" where it has a kernel of the operation, else "cpu". "any
/// (host)" for an operation on integers and bools alone: these stay on the host, whatever the
/// device.
std::string devices_of(const OpDef& op);

}  // namespace maskgrad::apps
