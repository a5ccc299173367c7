// What messages of several files advise. Internal to src/train.
#pragma once

namespace maskgrad {

/// For a run whose numbers are not finite any more.
inline constexpr const char* kLearnSlower = "a smaller learning rate may help";

}  // namespace maskgrad
