// Are targets the tokens that come next?
#pragma once

#include <string>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad {

/// A language model learns to predict the next token when the target of a position is the token at
/// the next position of its sequence that exists. Compares the two wherever both are known: the
/// last position of a sequence has its target only. tokens: int32 or int64 [B, S] with their mask;
/// targets: the same dtype and shape. `counted`: the positions whose targets count; undefined: all
/// that exist.
/// Returns an empty text where all are equal. Else says which target is another, and which one it
/// is where all that have such a token are shifted alike, a wrong one among them: "the target of
/// position 0 of sequence 0 is 5, and the next token is 7: every target is the token at its own
/// position".
/// Throws Error for other shapes and dtypes.
std::string find_wrong_target(const Variable& tokens, const Tensor& targets,
                              const SequenceMask& counted = {});

}  // namespace maskgrad
