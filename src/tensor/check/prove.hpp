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
  /// The first operation all of whose kept places can depend on masked ones, where there are
  /// several: "softmax in layer 'reflect'". Empty when none does.
  std::string everywhere = {};

  bool holds() const { return path.empty() && gradient_path.empty(); }
};
std::string to_string(const MaskProof& proof);

/// Looks at every result of a tape that traces (Tape::Options::trace), and at the gradient of every
/// leaf, for a kept place that can depend on a masked place of any value, whatever the numbers are.
/// Gradients are those of all results. What leaves the tape, as a number that is read from value()
/// does, is not seen; check_mask_leaks() finds what comes of it. Relies on what each operation says
/// of its reach and of what its gradients read, which check_op() holds against what it does. What
/// is carried on and dropped later is no failure. `leaves` gives names to the leaves, for the path.
/// Throws Error for a tape that does not trace.
MaskProof prove_mask(const Tape& tape, std::span<const NamedLeaf> leaves = {});

}  // namespace maskgrad
