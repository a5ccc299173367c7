// Samples, and how some of them become a batch.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// A tensor of a batch, under the name that its model knows it by.
struct BatchTensor {
  std::string name;
  Tensor tensor;  // [B, ...]
};

/// What one training step works on: tensors of B samples each.
struct Batch {
  Tensor inputs;                        // [B, ...]
  Tensor targets;                       // [B, ...]
  Tensor ids;                           // int64 [B]: which samples of the data set these are
  std::int64_t epoch = 0;               // with an id, what an augmentation draws by
  PoolVector<BatchTensor> others = {};  // whatever else the model wants

  /// How many samples there are. Throws Error when there is no tensor yet.
  std::int64_t size() const;
  /// "inputs", "targets", "ids", or one of `others`. Throws Error for a name of none, or of one
  /// without a value.
  const Tensor& operator[](std::string_view name) const;
  /// The samples first .. first + count - 1, as views. Throws Error for samples that are not there,
  /// and where a tensor does not have one row for each sample.
  Batch part(std::int64_t first, std::int64_t count) const;
};

/// Samples that are told apart by numbers from 0 on. Derive from it for data of your own.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual std::int64_t size() const = 0;
  /// The samples with these numbers, in this order. Depends on them alone: a run that goes on must
  /// meet the same data. Called by the thread that reads ahead, too. Throws Error for a number of
  /// none.
  virtual Batch collate(std::span<const std::int64_t> ids) const = 0;
  /// "2000 samples, crc32c 1a2b3c4d": tells whether data are those that a run was trained on. If
  /// not overridden, the checksum of what each sample's own batch holds.
  virtual std::string fingerprint() const;
};

}  // namespace maskgrad
