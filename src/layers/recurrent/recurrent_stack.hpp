// What recurrent layers share. Internal to src/layers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/nn/recurrent.hpp>

namespace maskgrad {

/// The sizes of a stack of recurrent networks.
struct RecurrentSizes {
  std::int64_t features, hidden, layers;
  std::size_t of_layer;  // directions

  /// Throws Error unless all are above 0.
  void check_all(const char* kind) const;

  /// Calls add(inputs, name) for each direction of each layer, the forward one first. `name` gives
  /// a parameter its own: name("w_x") is "w_x1_reverse".
  template <class F>
  void for_each_direction(F add) const {
    for (std::int64_t layer = 1; layer <= layers; ++layer) {
      const std::int64_t inputs =
          layer == 1 ? features : hidden * static_cast<std::int64_t>(of_layer);
      for (std::size_t direction = 0; direction < of_layer; ++direction) {
        add(inputs, [&](const char* parameter) {
          return parameter + std::to_string(layer) + (direction == 0 ? "" : "_reverse");
        });
      }
    }
  }
};

/// Uniform in [-1 / sqrt(hidden), 1 / sqrt(hidden)).
Initializer recurrent_start(std::int64_t hidden);

/// How direction `i` of a stack is run in this pass.
ops::RecurrentOptions recurrent_options(bool reverse, const Pass& pass);

/// Throws Error for an x that a recurrent layer does not take, in a pass that it does not take, and
/// unless there is no state or one for each of `directions`.
void check_recurrent_call(const char* kind, const Variable& x, std::int64_t features,
                          const Pass& pass, std::size_t states, std::size_t directions);

/// Two outputs side by side.
Variable side_by_side(const Variable& forward, const Variable& backward);

/// The output of the last layer: run(i, x) gives that of direction i for the input x of its layer.
template <class F>
Variable through_layers(Variable x, std::size_t directions, std::size_t of_layer, F run) {
  for (std::size_t i = 0; i < directions; i += of_layer) {
    const Variable forward = run(i, x);
    x = of_layer == 1 ? forward : side_by_side(forward, run(i + 1, x));
  }
  return x;
}

}  // namespace maskgrad
