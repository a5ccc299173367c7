// Arguments of operations as text.
#pragma once

#include <string>

#include <maskgrad/tensor/autograd/op_def.hpp>

namespace maskgrad::apps {

/// The operation of this name. Throws Error, with the nearest name, when there is none.
const OpDef& known_op(const std::string& name);

/// "true", "3", "0.5", "text", "0,2,1", and "none" for an empty list.
std::string to_text(const ArgValue& value);

/// The text of an argument as a value of the type of its default. Throws Error naming the operation
/// and the argument.
ArgValue parse_arg(const OpDef& op, const std::string& name, const std::string& text);

}  // namespace maskgrad::apps
