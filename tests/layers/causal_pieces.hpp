// Layers [B, S, D] -> [B, S, D] for tests of prove_causal(): some look where they must not.
#pragma once

#include <functional>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/slice.hpp>

namespace maskgrad::test {

using RunPiece = std::function<Variable(const Variable&)>;

/// A function of a batch or of a packed row, without parameters. Keeps the mask.
class PieceOfModel : public Layer {
 public:
  explicit PieceOfModel(RunPiece run) : Layer("Piece", MaskRule::kKeeps), run_(std::move(run)) {}
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }

 protected:
  Variable forward(const Variable& x, Pass&) override {
    const Variable y = run_(drop_mask(x));
    return x.mask().defined() ? ops::with_mask(y, x.mask()) : y;
  }

 private:
  RunPiece run_;
};

/// x + the mean of x over time (axis 1) or over the batch (axis 0).
inline RunPiece mean_over(std::int64_t axis) {
  return [axis](const Variable& x) { return ops::add(x, ops::mean(x, {axis}, true)); };
}

/// x + the position `by` before it; behind it for a negative one.
inline RunPiece shifted_by(std::int64_t by) {
  return [by](const Variable& x) {
    const std::int64_t size = x.dim(1), n = std::min(size, std::abs(by));
    const Variable zeros(Tensor::zeros({x.dim(0), n, x.dim(2)}, x.dtype()));
    const Variable before = ops::concat({zeros, ops::slice(x, 1, 0, size - n)}, 1);
    const Variable behind = ops::concat({ops::slice(x, 1, n), zeros}, 1);
    return ops::add(x, by > 0 ? before : behind);
  };
}

/// Positions that run on: over the documents of a packed row, over the sequences of a batch, or
/// over the row by a slice of their table.
enum class Running : std::uint8_t { kOnRow, kInBatch, kSlice };
class RunningPositions : public Layer {
 public:
  RunningPositions(Running kind, std::int64_t features)
      : Layer("RunningPositions", MaskRule::kKeeps),
        kind_(kind),
        table_(parameter("table", {kTable, features}, normal(0, 0.02))) {}
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }

 protected:
  Variable forward(const Variable& x, Pass&) override {
    if (kind_ == Running::kSlice) return ops::add(x, ops::slice(table_, 0, 0, x.dim(1)));
    Tensor positions = Tensor::empty(x.shape().slice(0, 2), DType::kInt64);
    for (std::int64_t i = 0; i < positions.numel(); ++i) {
      positions.data<std::int64_t>()[i] = kind_ == Running::kOnRow ? i % x.dim(1) : i;
    }
    return ops::add(x, ops::embedding(table_, Variable(positions)));
  }

 private:
  static constexpr std::int64_t kTable = 40;
  Running kind_;
  Parameter& table_;
};

}  // namespace maskgrad::test
