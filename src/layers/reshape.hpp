// Other dimensions for each sample.
#pragma once

#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad {

/// Gives each sample of a batch the dimensions `dims`; one may be -1.
/// [B, ...] -> [B, dims...]. Ends the mask, after its holes are filled with 0. Throws Error for a
/// scalar, and when the number of elements differs.
class Reshape : public Layer {
 public:
  explicit Reshape(std::vector<std::int64_t> dims)
      : Layer("Reshape", MaskRule::kEnds), dims_(std::move(dims)) {}

 protected:
  Variable forward(const Variable& x, Pass&) override {
    check(x.rank() >= 1, "Reshape", "needs a batch, got {}", x.shape());
    PoolVector<std::int64_t> dims;  // no malloc in a steady step
    dims.reserve(dims_.size() + 1);
    dims.push_back(x.dim(0));
    dims.insert(dims.end(), dims_.begin(), dims_.end());
    return ops::reshape(ops::fill_masked(x), dims);
  }

 private:
  std::vector<std::int64_t> dims_;
};

}  // namespace maskgrad
