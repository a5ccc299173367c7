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
/// mask. An integer or bool input, such as token ids or lengths, is recognised by its memory.
/// What was computed without operations stays as it was recorded: a mask made from tokens by hand
/// is to be replaced beside them, by its bits(), as is a choice that a program made by looking at
/// values. The pairs of an AttentionMask cannot be replaced; which positions of a plan exist can.
/// Another tape may record the operations anew; this one does not, though it be the current one.
/// Throws Error when the tape does not trace, when an operation did not tell record() all that it
/// was called with, for a replacement that nothing read or whose dtype differs, for a result that
/// this tape does not know, and as the operations do.
std::vector<Variable> replay(const Tape& tape, std::span<const Replacement> replacements,
                             std::span<const Variable> results);

}  // namespace maskgrad
