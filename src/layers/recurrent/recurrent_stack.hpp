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
  std::size_t per_layer;  // directions

  /// Throws Error unless all are above 0.
  void check_all(const char* kind) const;

  /// Calls add(inputs, name) for each direction of each layer, the forward one first. `name` gives
  /// a parameter its own: name("w_x") is "w_x1_reverse".
  template <class F>
  void for_each_direction(F add) const {
    for (std::int64_t layer = 1; layer <= layers; ++layer) {
      const std::int64_t inputs =
          layer == 1 ? features : hidden * static_cast<std::int64_t>(per_layer);
      for (std::size_t direction = 0; direction < per_layer; ++direction) {
        add(inputs, [&](const char* parameter) {
          return parameter + std::to_string(layer) + (direction == 0 ? "" : "_reverse");
        });
      }
    }
  }
};

/// Uniform in [-1 / sqrt(hidden), 1 / sqrt(hidden)).
Initializer recurrent_start(std::int64_t hidden);

/// A call of a recurrent layer.
struct RecurrentCall {
  const char* kind;
  std::int64_t features;
  std::size_t per_layer;  // directions
  const Pass& pass;

  /// Throws Error for an x that the layer does not take, in a pass that it does not take, and
  /// unless there is no state or one for each of `directions`.
  void check_all(const Variable& x, std::size_t states, std::size_t directions) const;
  /// How a direction runs in this pass.
  ops::RecurrentOptions options(bool reverse) const;
};

/// Two outputs side by side.
Variable side_by_side(const Variable& forward, const Variable& backward);

/// The output of the last layer, with the state after the last step of each direction in `last`.
/// `start` has the states to begin with, or none. step(direction, input, state, options) runs one.
template <class Direction, class State, class Step>
Variable through_layers(const RecurrentCall& call, Variable x,
                        std::span<const Direction> directions, std::span<const State> start,
                        PoolVector<State>& last, Step step) {
  call.check_all(x, start.size(), directions.size());
  const auto run = [&](std::size_t i) {
    auto made = step(directions[i], x, start.empty() ? State() : start[i],
                     call.options(/*reverse=*/i % call.per_layer == 1));
    last.push_back(std::move(made.last));
    return made.output;
  };
  for (std::size_t i = 0; i < directions.size(); i += call.per_layer) {
    const Variable forward = run(i);
    x = call.per_layer == 1 ? forward : side_by_side(forward, run(i + 1));
  }
  return x;
}

/// 3 times the elements of the matrices w_x and w_h of all directions, for each position.
template <class Direction>
ops::Work recurrent_work(std::span<const Direction> directions) {
  ops::Work work;
  for (const Direction& d : directions) {
    work.per_position += 3 * (d.w_x->shape().numel() + d.w_h->shape().numel());
  }
  return work;
}

}  // namespace maskgrad
