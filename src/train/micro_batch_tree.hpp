// The sums over the micro-batches of a batch, in one order.
#pragma once

#include <span>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/tensor.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {

/// The sums over one micro-batch, or over several together.
struct MicroBatchSums {
  Tensor gradients = {};            // [N]; undefined where nothing counted
  PoolVector<Metric> metrics = {};  // none where there was no sample
};

/// Adds up micro-batches 0 .. S-1 in one balanced tree over their numbers: 0 + 1, 2 + 3, ..., then
/// pairs of these. The sums have the same bits in any order of the micro-batches. They also have
/// the same bits when the micro-batches are spread over several trees that are merged in the end.
/// When micro-batches come in order, at most one tensor for each level waits: about log2(S).
class MicroBatchTree {
 public:
  /// `count` is the number of micro-batches. Throws Error when it is below 1.
  explicit MicroBatchTree(std::int64_t count);

  /// Takes the sums of micro-batch `index`. Its gradients are copied where they have to wait, so
  /// that the next micro-batch may use their memory. Throws Error for an index outside 0 .. S-1,
  /// for a micro-batch that came before, and for sums that do not fit those of the others.
  void add(std::int64_t index, const MicroBatchSums& sums);
  /// Takes over the micro-batches that `other` holds. Throws Error when `other` was made for
  /// another number of micro-batches, and as add().
  void merge(MicroBatchTree&& other);
  /// Returns the sums over all micro-batches. Throws Error when one is missing.
  MicroBatchSums finish();

  /// How many sums wait for others.
  std::int64_t waiting() const { return static_cast<std::int64_t>(nodes_.size()); }

 private:
  // The sum over the micro-batches index * 2^level and on, up to 2^level of them.
  struct Node {
    int level;
    std::int64_t index;
    MicroBatchSums sums;
    bool owns_gradients;  // else somebody else may write to them
  };

  std::int64_t width(int level) const;
  void put(Node node);
  static void own(Node& node);
  static MicroBatchSums combined(MicroBatchSums waiting, MicroBatchSums more);

  std::int64_t count_;
  PoolVector<Node> nodes_;
};

}  // namespace maskgrad
