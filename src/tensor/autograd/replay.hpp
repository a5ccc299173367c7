// A recorded step, run again with other inputs.
#pragma once

#include <span>
#include <vector>

#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad {

/// A value that took part in a recorded step, and what stands in for it.
struct Replacement {
  Variable recorded;
  Variable instead;
};

/// Runs the operations of a tape that traces again, in order, and returns what `results` are now.
/// Leaves and constants keep their values unless they are replaced; a replacement brings its own
/// mask. An input without a gradient, such as token ids or lengths, is recognised by its memory.
/// Values that were computed without operations stay as they were recorded. So a mask that was made
/// from tokens by hand must be replaced beside the tokens, by its bits(). The pairs of an
/// AttentionMask cannot be replaced; which positions of a plan exist can.
/// Another tape may record the operations again. `tape` itself does not, even when it is current.
/// Throws Error when the tape does not trace, when an operation did not tell record() all inputs
/// and arguments, for a replacement without a value, of another dtype or that no operation reads,
/// for a result that this tape did not record, and as the operations do.
std::vector<Variable> replay(const Tape& tape, std::span<const Replacement> replacements,
                             std::span<const Variable> results);

}  // namespace maskgrad
