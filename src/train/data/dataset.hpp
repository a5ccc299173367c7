// Samples, and how some of them become a batch.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// A further tensor of a batch, and the name under which the model finds it.
struct BatchTensor {
  std::string name;
  Tensor tensor;  // [B, ...]
};

/// What one training step works on: tensors of B samples each.
struct Batch {
  Tensor inputs;                        // [B, ...]
  Tensor targets;                       // [B, ...]
  Tensor ids;                           // int64 [B]: which samples of the data set these are
  std::int64_t epoch = 0;               // seeds an augmentation, together with an id
  PoolVector<BatchTensor> others = {};  // whatever else the model needs

  /// The number of samples: the rows of `ids`, else of `targets`, else of the first tensor that has
  /// a value. Throws Error when no tensor has one, and when that tensor is a single number.
  std::int64_t size() const;
  /// The tensor with this name: "inputs", "targets", "ids", or one of `others`. Throws Error when
  /// there is none, or it has no value.
  const Tensor& operator[](std::string_view name) const;
  /// The samples first .. first + count - 1, as views. Throws Error when the batch does not have
  /// these samples, and when a tensor does not have one row for each sample.
  Batch part(std::int64_t first, std::int64_t count) const;
};

/// Samples with the numbers 0 .. size() - 1. Derive from it for data of your own.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual std::int64_t size() const = 0;
  /// The samples with these numbers, in this order. The result must depend on the numbers alone: a
  /// run that goes on must meet the same data. The thread that reads ahead calls it too. Throws
  /// Error for a number that no sample has.
  virtual Batch collate(std::span<const std::int64_t> ids) const = 0;
  /// The same in epoch 0, 1, ...: for data of which each epoch has others. The result must depend
  /// on the epoch and the numbers alone. If not overridden, every epoch has the samples of
  /// collate().
  virtual Batch collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const;
  /// "2000 samples, crc32c 1a2b3c4d". It tells whether data are those that a run was trained on. If
  /// not overridden, it is the checksum of all samples, each collated as a batch of its own.
  virtual std::string fingerprint() const;
};

}  // namespace maskgrad
