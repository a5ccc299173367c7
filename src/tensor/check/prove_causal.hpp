// Can a prediction depend on what it is to predict, or on another document? Proved from what
// operations say they read.
#pragma once

#include <string>
#include <vector>

#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad {

struct CausalProof {
  /// From a token to a logit that must not depend on it, one step a line. Empty when there is none.
  std::vector<std::string> path = {};
  /// What the token of the path is: "behind it" or "of another document".
  std::string leak = {};
  std::int64_t operations = 0;
  std::int64_t positions = 0;  // tokens that belong to a document
  std::int64_t documents = 0;

  // What the model's check adds (layers/prove_causal.hpp).
  /// Whether the path was found on the packed row of the batch.
  bool on_row = false;
  /// The operation and the layer that number positions by what stands before a document. Empty
  /// when the logits of a document are the same without the others.
  std::string restart = {};
  /// What was not tried, and why, a line each.
  std::vector<std::string> not_tried = {};

  bool holds() const { return path.empty() && restart.empty(); }
};
std::string to_string(const CausalProof& proof);

/// Looks for a logit that can depend on a token behind it in its document, or on a token of another
/// document, whatever the numbers are. A logit at a position may depend on the token there.
/// tokens: int32 or int64 [B, S], or [1, K] on a packed row. logits: [B, S, ...], recorded on the
/// tape. documents: int64 [B, S], the document of each token. A negative number is padding, which
/// belongs to none and is not looked at: see prove_mask(). Without `documents` each sequence is
/// one. The positions of a document count its tokens in the order in which they stand.
/// A token is read by each operation that has its memory as an input, also through a view. Indices
/// that are tokens are taken to reach all that the operation gives. The proof relies on the Reach
/// of each operation's description, which check_op() tests. It does not see numbers that a program
/// reads from value() and computes with.
/// Throws Error for a tape that does not trace, when no token belongs to a document, when no
/// operation reads the tokens, for logits that the tape did not record, and for other shapes or
/// dtypes. Throws Error for an operation that can
/// read integers and did not tell record() all inputs and arguments.
CausalProof prove_causal(const Tape& tape, const Tensor& tokens, const Variable& logits,
                         const Tensor& documents = {});

}  // namespace maskgrad
