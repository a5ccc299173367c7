// Parameters that are trained alike.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <maskgrad/tensor/shape.hpp>

namespace maskgrad {

/// Some of a model's parameters, and how they are trained:
///   ParameterGroup{.name = "decay", .owns = is_matrix, .weight_decay = 0.1}
struct ParameterGroup {
  std::string name;
  /// Whether the parameter of this name ("block0.attention.q") and shape belongs to the group.
  std::function<bool(std::string_view name, const Shape& shape)> owns;
  double lr_factor = 1.0;     // times the learning rate of the step
  double weight_decay = 0.0;  // each step subtracts lr * weight_decay * w from a weight w
  bool frozen = false;        // takes no gradient, and stays as it is
  /// Stays as it is in each step that gives none of it a gradient, as where Frozen lives. Else an
  /// optimizer goes on with what it remembers of the steps before, and weights decay.
  bool rests = false;
};

/// For ParameterGroup::owns: parameters of two dimensions or more, so neither biases nor the scales
/// of norms.
inline bool is_matrix(std::string_view, const Shape& shape) { return shape.rank() >= 2; }
/// For the last group: every parameter that is left.
inline bool is_any(std::string_view, const Shape&) { return true; }

}  // namespace maskgrad
