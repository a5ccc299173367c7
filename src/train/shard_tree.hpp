// The sums over the shards of a batch, in one order.
#pragma once

#include <span>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/tensor.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {

/// What a shard of a batch gives, or several together.
struct ShardSums {
  Tensor gradients = {};            // [N]; undefined where nothing counted
  PoolVector<Metric> metrics = {};  // none where there was no sample
};

/// Adds up shards 0 .. S-1 in one balanced tree over their numbers: 0 + 1, 2 + 3, ..., then pairs
/// of these. So the sums have the same bits in whatever order shards come, and however they are
/// spread over trees that are merged in the end. Shards that come in order leave one tensor for
/// each level to wait: about log2(S).
class ShardTree {
 public:
  /// Throws Error unless there is a shard.
  explicit ShardTree(std::int64_t shards);

  /// Takes what a shard gives. Its gradients are copied where they have to wait, so that the next
  /// shard may use their memory. Throws Error for a shard that is not there or came before, and for
  /// sums that do not fit those of the others.
  void add(std::int64_t shard, const ShardSums& sums);
  /// Takes over the shards that `other` holds, which has the same number of them.
  void merge(ShardTree&& other);
  /// The sums of all. Throws Error while a shard is missing.
  ShardSums finish();

  /// How many sums wait for others.
  std::int64_t waiting() const { return static_cast<std::int64_t>(nodes_.size()); }

 private:
  // The sum over the shards index * 2^level and on, up to 2^level of them.
  struct Node {
    int level;
    std::int64_t index;
    ShardSums sums;
    bool owns_gradients;  // else somebody else may write to them
  };

  std::int64_t width(int level) const;
  void put(Node node);
  static void own(Node& node);
  static ShardSums combined(ShardSums waiting, ShardSums more);

  std::int64_t shards_;
  PoolVector<Node> nodes_;
};

}  // namespace maskgrad
