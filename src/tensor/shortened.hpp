// Text of a user as errors show it.
#pragma once

#include <string>
#include <string_view>

namespace maskgrad {

/// `text`, if it has at most 60 bytes. Else about so many bytes of its beginning and "...", cut
/// between characters of UTF-8. The bytes are left as they are. For texts that may be of any
/// length, such as a line of input, but not for paths, which would lead nowhere.
std::string shortened(std::string_view text);

}  // namespace maskgrad
