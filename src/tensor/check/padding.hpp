// Does more padding change anything?
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <maskgrad/tensor/check/gradients.hpp>

namespace maskgrad {

/// One result that more padding changed. When the number of kept elements changed, `element` is -1,
/// and `before` and `after` are these numbers.
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

/// Runs forward(0), then forward(extra) for extra = 1, 2 and 5, until something changes.
/// forward(extra) computes a loss of one element from the batch with `extra` more positions at the
/// end of each sequence, which the mask leaves out. The check compares the kept places of every
/// operation's output and of the gradients of `leaves` (parameters). Outputs are compared when
/// their shapes are the same but for the positions [B, S] of their mask. Values are equal when they
/// differ by at most tolerance max(1, |value|); 0 asks for equal values. Clears the leaves'
/// gradients. Throws Error when the result is not one element, when another number of outputs is
/// computed with more positions, and for a leaf that has no value or takes no gradient.
PaddingReport check_padding(const std::function<Variable(std::int64_t extra)>& forward,
                            std::span<const NamedLeaf> leaves, double tolerance = 1e-12);

}  // namespace maskgrad
