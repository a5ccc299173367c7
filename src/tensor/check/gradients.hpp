// Gradients against central differences, for whoever writes an operation or a layer.
#pragma once

#include <functional>
#include <span>
#include <string>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad {

struct GradientCheck {
  double step = 1e-5;
  double tolerance = 2e-8;           // of max(1, |gradient|)
  std::int64_t max_elements = 4096;  // of each leaf, drawn at random when it has more
  std::uint64_t seed = 1;            // of the weights of the outputs, and of what is drawn
};

/// What a gradient check found: the worst of the elements it looked at.
struct GradientReport {
  double tolerance = 0;
  double worst_error = 0;     // |backward - differences| / max(1, |backward|, |differences|)
  std::string worst = {};     // "a[5] of (2, 3): backward gave 1, differences give 2"
  std::int64_t elements = 0;  // looked at

  bool holds() const { return worst_error <= tolerance; }
};
/// A line or two for people.
std::string to_string(const GradientReport& report);

/// Compares the gradients that backward() gives `leaves` with (f(x + h) - f(x - h)) / 2h. `f` is a
/// function of the leaves' values. Its result may have any shape: the check sums the kept elements
/// with random weights. Everything is computed in float64. Gradients that the leaves hold before
/// are cleared. Throws Error for a leaf that is not float64 or takes no gradient, when f is empty
/// or its result has no value, and for max_elements below 1.
GradientReport check_gradients(const std::function<Variable()>& f,
                               std::span<const NamedLeaf> leaves,
                               const GradientCheck& options = {});

}  // namespace maskgrad
