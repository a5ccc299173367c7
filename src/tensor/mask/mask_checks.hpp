// What operations check of the masks of their inputs. Internal to src/.
#pragma once

#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad {

/// Throws Error "[name] the inputs carry different masks: ..." unless a == b.
inline void check_same_mask(const char* name, const SequenceMask& a, const SequenceMask& b) {
  check(a == b, name,
        "the inputs carry different masks: name intersect_masks() or unite_masks(), or "
        "drop_mask() one of them");
}

/// For an input with a mask that broadcasts to `output`. Throws Error "[name] would lose the mask:
/// ..." when new dimensions come before its positions.
inline void check_positions_stay(const char* name, const Shape& input, const Shape& output) {
  check(input.rank() == output.rank(), name,
        "would lose the mask: broadcasting {} to {} moves its positions; use drop_mask() if it "
        "should end here",
        input, output);
}

}  // namespace maskgrad
