// Layers that tell positions apart.
//
// Positions count what exists: 0, 1, 2, ... from the beginning of each sequence, whatever padding
// stands before or within it, and on a packed row from the beginning of each segment
// (Pass::positions()).
#pragma once

#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

/// y = x + table[p]. Keeps the mask. x [B, S, D] -> [B, S, D].
/// Parameter: table [P, D], normal with standard deviation 0.02 (Radford et al. 2018, GPT).
/// Throws Error for an x of other dimensions, and for a sequence of more than P positions that
/// exist.
class LearnedPositions : public Layer {
 public:
  /// `length` is P, the most positions of a sequence, `features` is D.
  LearnedPositions(std::int64_t length, std::int64_t features);

  /// It multiplies nothing.
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Parameter& table_;
};

/// y = x + P[p], P[p, 2i] = sin(p / base^(2i / D)), P[p, 2i + 1] = cos(p / base^(2i / D)), computed
/// in double. Keeps the mask. x [B, S, D] -> [B, S, D]. Vaswani et al. 2017, section 3.5.
/// The constructor throws Error for a base that is not above 0 and finite. A call throws Error for
/// an x of other dimensions.
class SinusoidalPositions : public Layer {
 public:
  explicit SinusoidalPositions(double base = 10000);

  /// It multiplies nothing beside matrices.
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  double base_;
};

}  // namespace maskgrad
