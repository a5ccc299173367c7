// Where the heads of attention stand in a tensor. Internal to attention.
#pragma once

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// Row s of head (b, h) begins at element b * batch + h * head + s * row; its features stand one
/// after another.
struct HeadLayout {
  std::int64_t batch, head, row;

  constexpr std::int64_t at(std::int64_t b, std::int64_t h, std::int64_t s = 0) const {
    return b * batch + h * head + s * row;
  }
};

/// The heads of a value [B, H, S, D], or of one [B, S, H D] where the heads share a row.
struct Heads {
  std::int64_t batch, heads, rows, features;
  HeadLayout layout;

  /// `count`: the heads of a value [B, S, H D], which divide its last dimension.
  static Heads of(const Shape& x, std::int64_t count) {
    if (x.rank() == 4) {
      return {x[0], x[1], x[2], x[3], {x[1] * x[2] * x[3], x[2] * x[3], x[3]}};
    }
    const std::int64_t features = x[2] / count;
    return {x[0], count, x[1], features, {x[1] * x[2], features, x[2]}};
  }
  /// [B, H, S, D]
  Shape shape() const { return {batch, heads, rows, features}; }
};

/// x with its heads one after another, [B, H, S, D]: a view where they already are, else a copy.
Tensor split_heads(const Tensor& x, const Heads& heads);
/// The inverse: x [B, H, S, D] as a tensor of `shape`.
Tensor join_heads(const Tensor& x, const Shape& shape);

}  // namespace maskgrad::ops
