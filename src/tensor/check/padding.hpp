// Does more padding change anything?
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <maskgrad/tensor/check/gradients.hpp>

namespace maskgrad {

/// One result that more padding changed.
struct PaddingChange {
  std::string op;            // that gave it first; empty for the gradient of a leaf
  std::string layer;         // "block0.attention", or the leaf's name
  std::int64_t element = 0;  // of the kept ones, in order
  double before = 0, after = 0;
  std::int64_t extra = 0;  // positions that were added
};

struct PaddingReport {
  std::vector<PaddingChange> changes;  // the first operation, then every leaf
  std::int64_t operations = 0;         // whose outputs could be compared
  double largest = 0;  // |after - before| / max(1, |before|) of all; 0 when every bit agrees
  double tolerance = 0;

  bool holds() const { return changes.empty(); }
};
std::string to_string(const PaddingReport& report);

/// Runs forward(0), then forward(extra) for 1, 2 and 5 positions more that the mask leaves out at
/// the end of each sequence, and compares the kept places of what every operation gives, the result
/// and the gradients of `leaves` (parameters). Outputs are compared where their shape, but for the
/// positions of their mask, is the same. `tolerance` is of max(1, |value|); 0 asks for the same
/// bits.
PaddingReport check_padding(const std::function<Variable(std::int64_t extra)>& forward,
                            std::span<const NamedLeaf> leaves, double tolerance = 1e-12);

}  // namespace maskgrad
