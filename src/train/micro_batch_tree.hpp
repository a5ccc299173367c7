// The sums over the micro-batches of a batch, in one order.
#pragma once

#include <span>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/tensor.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {

/// What a micro-batch gives, or several together.
struct MicroBatchSums {
  Tensor gradients = {};            // [N]; undefined where nothing counted
  PoolVector<Metric> metrics = {};  // none where there was no sample
};

/// Adds up micro-batches 0 .. S-1 in one balanced tree over their numbers: 0 + 1, 2 + 3, ..., then
/// pairs of these. So the sums have the same bits in whatever order micro-batches come, and however
/// they are spread over trees that are merged in the end. Micro-batches that come in order leave
/// one tensor for each level to wait: about log2(S).
class MicroBatchTree {
 public:
  /// Throws Error unless there is a micro-batch.
  explicit MicroBatchTree(std::int64_t count);

  /// Takes what a micro-batch gives. Its gradients are copied where they have to wait, so that the
  /// next micro-batch may use their memory. Throws Error for a micro-batch that is not there or
  /// came before, and for sums that do not fit those of the others.
  void add(std::int64_t index, const MicroBatchSums& sums);
  /// Takes over the micro-batches that `other` holds, which has the same number of them.
  void merge(MicroBatchTree&& other);
  /// The sums of all. Throws Error while a micro-batch is missing.
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
