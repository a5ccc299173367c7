#include <algorithm>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/train/micro_batch_tree.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "micro_batches";

void add_to(Tensor& sum, const Tensor& more) {
  check(sum.shape() == more.shape() && sum.dtype() == more.dtype(), kName,
        "gradients of {} {} and {} {} do not fit", to_string(sum.dtype()), sum.shape(),
        to_string(more.dtype()), more.shape());
  add_into(sum, more);
}

}  // namespace

MicroBatchTree::MicroBatchTree(std::int64_t count) : count_(count) {
  check(count >= 1, kName, "there must be one at least, not {}", count);
}

std::int64_t MicroBatchTree::width(int level) const { return ((count_ - 1) >> level) + 1; }

void MicroBatchTree::add(std::int64_t index, const MicroBatchSums& sums) {
  check(index >= 0 && index < count_, kName, "there is no micro-batch {}: there are {}", index,
        count_);
  put({0, index, sums, false});
}

void MicroBatchTree::merge(MicroBatchTree&& other) {
  check(other.count_ == count_, kName, "a tree of {} micro-batches does not fit one of {}",
        other.count_, count_);
  for (Node& node : other.nodes_) put(std::move(node));
  other.nodes_.clear();
}

MicroBatchSums MicroBatchTree::finish() {
  check(nodes_.size() == 1 && width(nodes_[0].level) == 1, kName, "some of the {} are missing",
        count_);
  MicroBatchSums all = std::move(nodes_[0].sums);
  nodes_.clear();
  return all;
}

// Combines the node with its sibling, and what they give with theirs, as far as they are there.
void MicroBatchTree::put(Node node) {
  while (width(node.level) > 1) {
    const std::int64_t sibling = node.index ^ 1;
    if (sibling < width(node.level)) {
      const auto found = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& other) {
        return other.level == node.level && other.index == sibling;
      });
      if (found == nodes_.end()) break;
      Node waiting = std::move(*found);
      nodes_.erase(found);
      if (!waiting.sums.gradients.defined()) own(node);
      node.sums = combined(std::move(waiting.sums), std::move(node.sums));
      node.owns_gradients = true;
    }
    ++node.level;
    node.index /= 2;
  }
  const bool came_before = std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& other) {
    return other.index >> std::max(0, node.level - other.level) ==
           node.index >> std::max(0, other.level - node.level);
  });
  check(!came_before, kName, "micro-batch {} came twice", node.index << node.level);
  own(node);
  nodes_.push_back(std::move(node));
}

void MicroBatchTree::own(Node& node) {
  Tensor& gradients = node.sums.gradients;
  if (!node.owns_gradients && gradients.defined()) gradients = gradients.clone();
  node.owns_gradients = true;
}

// a + b is b + a, bit for bit, so it does not matter which of them came first.
MicroBatchSums MicroBatchTree::combined(MicroBatchSums waiting, MicroBatchSums more) {
  if (!waiting.gradients.defined()) {
    waiting.gradients = std::move(more.gradients);
  } else if (more.gradients.defined()) {
    add_to(waiting.gradients, more.gradients);
  }
  if (waiting.metrics.empty()) {
    waiting.metrics = std::move(more.metrics);
  } else if (!more.metrics.empty()) {
    add_each(waiting.metrics, more.metrics, "train");
  }
  return waiting;
}

}  // namespace maskgrad
