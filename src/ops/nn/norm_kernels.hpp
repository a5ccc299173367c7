// Kernel slots of the normalisations, and how the gradients of their parameters are added. Internal
// to src/ops.
#pragma once

#include <maskgrad/tensor/autograd/reach.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

namespace maskgrad::ops {

/// Which places of a tensor count: those of a bool tensor of its shape, the positions of a sequence
/// mask, or all.
class KeptOfNorm {
 public:
  /// elements: on the host; the device has a copy while this lives.
  KeptOfNorm(Tensor elements, Device device)
      : elements_(std::move(elements)), elements_there_(elements_.to(device)) {}
  KeptOfNorm(const SequenceMask& mask, const Shape& shape) : positions_(mask, shape) {}

  /// On the device; undefined where they say nothing.
  const Tensor& elements_there() const { return elements_there_; }
  const SequenceMask& mask() const { return positions_.mask(); }

  /// Whether the row that begins at element `at` is at a position that exists.
  bool has_row(std::int64_t at) const { return elements_.defined() || positions_[at]; }
  /// Which of its elements count; nullptr: all.
  const bool* of_row(std::int64_t at) const {
    return elements_.defined() ? elements_.data<bool>() + at : nullptr;
  }

  /// Marks of this shape, false at what does not count.
  Tensor among(const Tensor& marked) const {
    return elements_.defined() ? both(marked, elements_) : without_holes(marked, mask());
  }

 private:
  Tensor elements_, elements_there_;
  KeptPlaces positions_;
};

/// The output of layer_norm(), and of each row its mean and 1 / sqrt(variance + eps): float64
/// [rows, 2].
struct LayerNormOutput {
  Tensor y, statistics;
};

/// What the gradients of one call of layer_norm() read and write, all on one device.
struct LayerNormGradient {
  const Tensor &g, &x, &statistics, &weight;
  const KeptOfNorm& kept;
  Tensor dx, dweight, dbias;  // undefined where nobody asks
};

struct LayerNormKernels {
  CudaKernel<void(const Tensor& x, const KeptOfNorm& kept, const Tensor& weight, const Tensor& bias,
                  double eps, LayerNormOutput& output)>
      forward;
  CudaKernel<void(LayerNormGradient& call)> gradient;

  constexpr explicit LayerNormKernels(const char* op) : forward(op), gradient(op) {}
};
inline constinit LayerNormKernels kLayerNormCuda{"layer_norm"},
    kMaskedLayerNormCuda{"masked_layer_norm"};

/// What rms_norm() saves: x / sqrt(mean(x^2) + eps), and 1 / sqrt(mean(x^2) + eps) of each row,
/// float64 [rows]. 0 in the holes of a mask.
struct RmsNormSaved {
  Tensor xhat, inverse_roots;
};

inline constinit CudaKernel<void(const Tensor& x, const SequenceMask& mask, const Tensor& weight,
                                 double eps, Tensor& y, RmsNormSaved& saved)>
    kRmsNormCuda{"rms_norm"};
inline constinit CudaKernel<void(const Tensor& g, const RmsNormSaved& saved,
                                 const SequenceMask& mask, const Tensor& weight, Tensor& dx)>
    kRmsNormGradientCuda{"rms_norm"};

/// How the rows of a value are added: first along the first dimension that has several, in blocks,
/// then as sum_into() adds what is left.
struct RowBlocks {
  std::int64_t along = 1, positions = 1, features;
  Shape left;  // [positions ..., features]

  explicit RowBlocks(const Shape& shape) : features(shape[shape.rank() - 1]) {
    int axis = 0;
    while (axis < shape.rank() - 1 && shape[axis] == 1) ++axis;
    const bool is_one = axis == shape.rank() - 1;
    along = features == 0 ? 0 : is_one ? 1 : shape[axis];
    left = shape.slice(is_one ? axis : axis + 1, shape.rank());
    positions = left.slice(0, left.rank() - 1).numel();
  }
  std::int64_t count() const { return (along + kRowsOfBlock - 1) / kRowsOfBlock; }

  /// Calls f(row, sum) for the rows of parts [part, end) of `count() * positions`, each
  /// a position of a block, the rows of each in order.
  template <class F>
  void for_each_row(std::int64_t part, std::int64_t end, F f) const {
    for (std::int64_t next; part < end; part = next) {
      const std::int64_t block = part / positions, first = block * kRowsOfBlock;
      next = std::min(end, (block + 1) * positions);
      for (std::int64_t i = first; i < std::min(first + kRowsOfBlock, along); ++i) {
        for (std::int64_t p = part; p < next; ++p) {
          f(i * positions + p % positions, p);
        }
      }
    }
  }
};

}  // namespace maskgrad::ops
