// Can anything that is masked reach a result or a gradient? Proved from what operations say they
// read.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/check/gradients.hpp>

namespace maskgrad {

struct MaskProof {
  /// From the masked place to the result, one step a line; empty when none reaches one.
  std::vector<std::string> path = {};
  /// From the masked place to the gradient of a leaf, and what to do about it; empty when none
  /// reaches one.
  std::vector<std::string> gradient_path = {};
  std::int64_t operations = 0;
  std::int64_t results = 0;    // values that no further operation reads
  std::int64_t gradients = 0;  // leaves that take one
  /// The first operation with several kept places all of which can depend on masked ones: "softmax
  /// in layer 'reflect'". Empty when there is none.
  std::string everywhere = {};

  bool holds() const { return path.empty() && gradient_path.empty(); }
};
std::string to_string(const MaskProof& proof);

/// Looks for a kept place that can depend on a masked place of any value, whatever the numbers are:
/// in every result of a tape that traces (Tape::Options::trace), and in the gradient of every leaf.
/// The gradients are those of all results. A masked place that reaches only places which are
/// dropped later is no failure. The proof relies on the Reach and Reads of each operation's
/// description, which check_op() tests. It does not see numbers that a program reads from value()
/// and computes with; check_mask_leaks() finds their effect. `leaves` names the leaves in the path.
/// Throws Error for a tape that does not trace or has no operation.
MaskProof prove_mask(const Tape& tape, std::span<const NamedLeaf> leaves = {});

}  // namespace maskgrad
